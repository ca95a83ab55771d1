"""A base model of two random layers and a small word-piece vocabulary: seconds instead of minutes, the same code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAME = "tests/tiny-bert"
WIDTH = 32


def write_tiny_base_model(models: Path) -> dict[str, Any]:
    """Write it below `models` (what PERENNIAL_MODELS names) and return the parameters `base_model` that pin its
    files.
    """
    from pipelines.models.base_model import CONFIG, TOKENIZER, file_sha256, weights_digest

    folder = models / NAME
    if not (folder / CONFIG).exists():
        folder.mkdir(parents=True)
        vocabulary = _write_tokenizer(folder / TOKENIZER)
        _write_network(folder, vocabulary=vocabulary)
    return {
        "name": NAME,
        "revision": "none",
        "sha256": weights_digest(folder),
        "tokenizer_sha256": file_sha256(folder / TOKENIZER),
        "config_sha256": file_sha256(folder / CONFIG),
        "layers": None,
        "max_tokens": 32,
        "precision": "float32",
    }


def _write_tokenizer(file: Path) -> int:
    """Letters, letters within a word, and the words that the domains of this repository speak of."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = [chr(code) for code in range(33, 127)]
    words = "account bank card consumer credit debt fee loan money mortgage payment report student the transfer vehicle"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: index for index, piece in enumerate([*pieces, *words.split()])}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(mark, vocabulary[mark]) for mark in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(file))
    return len(vocabulary)


def _write_network(folder: Path, *, vocabulary: int) -> None:
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=64,
        architectures=["BertModel"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = BertModel(config, add_pooling_layer=False)
    network.save_pretrained(folder, safe_serialization=True)
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
