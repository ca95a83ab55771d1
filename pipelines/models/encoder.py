"""The frozen base model on texts: tokens, batches without padding, and vectors pooled over the tokens.

Texts of one batch have the same number of tokens: no padding, and a vector does not depend on its neighbors.
A batch holds at least `MIN_BATCH_TOKENS` tokens (the last text is repeated): below that oneDNN splits the sums of a
matrix product in another way, which moved the last bits of bfloat16 results.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.models.base_model import TOKENIZER, BaseModelParams, find_base_model
from pipelines.runtime.errors import InputError
from pipelines.runtime.progress import advancing

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

MIN_BATCH_TOKENS = 384
MAX_BATCH_TOKENS = 1024  # fits into a small cache: 4,096 took a fifth more time on two cores, with the same bits
STACKS = ("encoder.layer", "transformer.layer", "layers", "h")  # BERT and similar, DistilBERT, Llama and similar, GPT-2
Tokens = list[list[int]]
Vectors = Callable[[Tokens], NDArray[np.float32]]  # token ids of any lengths -> (n, width)


def load_tokenizer(folder: Path, *, max_tokens: int, max_characters: int) -> Callable[[Sequence[str]], Tokens]:
    """Return a function from texts to token ids; an empty text gives the special tokens, or one unknown token."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()

    def tokenize(texts: Sequence[str]) -> Tokens:
        cut = [text[:max_characters] for text in texts]
        return [encoding.ids or [0] for encoding in tokenizer.encode_batch_fast(cut)]

    return tokenize


def layers_of(network: Any, *, advice: str) -> tuple[str, Any]:
    """Return the name of a base model's stack of layers and the stack, for the families of transformers in `STACKS`.

    Raises InputError when the family has another name for it; `advice` names the parameters to set in that case.
    """
    from torch import nn

    for name in STACKS:
        stack: Any = network
        for part in name.split("."):
            stack = getattr(stack, part, None)
        if isinstance(stack, nn.ModuleList):
            return name, stack
    raise InputError(f"{type(network).__name__}: unknown name of its stack of layers; set {advice}")


def load_network(folder: Path, *, layers: int | None, dropout: float = 0.0) -> Any:
    """Return the base model in float32 without its pooler, in evaluation mode; only local safetensors are read.

    With `layers`, only that many of its layers are kept, from the lowest. Raises InputError when transformers cannot
    load it or it has fewer layers.
    """
    import torch
    import transformers
    from transformers import AutoConfig, AutoModel

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout", "dropout"):
            if hasattr(config, name):
                setattr(config, name, dropout)
        network = AutoModel.from_pretrained(
            folder, config=config, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: transformers cannot load this base model: {error}") from error
    if hasattr(network, "pooler"):
        network.pooler = None
    if hasattr(network.config, "use_cache"):
        network.config.use_cache = False
    if layers is not None:
        _, stack = layers_of(network, advice="base_model.layers: null")
        if layers > len(stack):
            raise InputError(
                f"invalid base_model.layers = {layers}: {folder.name} has {len(stack)} layers: expected at most that, "
                "or null for all"
            )
        del stack[layers:]
        network.config.num_hidden_layers = layers
    return network.eval()


def compute_type(precision: str, *, device: str) -> torch.dtype:
    """Return the number format of inference: bfloat16 if asked for and supported by the hardware, else float32."""
    import torch

    if precision == "float32":
        return torch.float32
    if device.startswith("cuda"):
        return torch.bfloat16
    abilities = torch.cpu.get_capabilities()
    if abilities.get("amx_bf16") or abilities.get("avx512_bf16") or abilities.get("bf16"):
        return torch.bfloat16
    logger.warning("this processor has no bfloat16 arithmetic: computing in float32, slower and with other last bits")
    return torch.float32


def batches_by_length(
    lengths: Sequence[int], *, max_batch_tokens: int = MAX_BATCH_TOKENS
) -> Iterator[NDArray[np.int64]]:
    """Yield row numbers of batches of equal length, longest first, filled up to `MIN_BATCH_TOKENS` by repetition."""
    of = np.asarray(lengths, dtype=np.int64)
    for length in sorted(set(of.tolist()), reverse=True):
        rows = np.flatnonzero(of == length)
        size = max(1, max_batch_tokens // length)
        least = -(-MIN_BATCH_TOKENS // length)
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            yield np.concatenate([batch, np.repeat(batch[-1], max(0, least - len(batch)))])


def pool(hidden: torch.Tensor, *, mask: torch.Tensor | None, pooling: str) -> torch.Tensor:
    """Return one float32 vector per text, shape (n, width): the mean over its tokens, or its last token."""
    hidden = hidden.float()
    if pooling == "last":
        if mask is None:
            return hidden[:, -1]
        import torch

        return hidden[torch.arange(hidden.shape[0], device=hidden.device), mask.sum(1) - 1]
    if mask is None:
        return hidden.mean(1)
    weights = mask.unsqueeze(-1).float()
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1.0)


def run_by_length(
    tokens: Tokens, network: Callable[[torch.Tensor], torch.Tensor], *, width: int, device: str, progress: str = ""
) -> NDArray[np.float32]:
    """Return rows of `network(ids)`, shape (n, width), in the order of the texts; `progress` names the progress bar."""
    import torch

    place: dict[tuple[int, ...], int] = {}  # equal texts are computed once
    of = np.array([place.setdefault(tuple(ids), len(place)) for ids in tokens], dtype=np.int64)
    distinct_tokens = list(place)
    out = np.empty((len(distinct_tokens), width), dtype=np.float32)
    lengths = [len(ids) for ids in distinct_tokens]
    with torch.inference_mode(), advancing(progress, total=len(lengths)) as advance:
        for rows in batches_by_length(lengths):
            ids = torch.tensor([distinct_tokens[row] for row in rows], dtype=torch.long, device=device)
            distinct = len(np.unique(rows))
            out[rows[:distinct]] = network(ids)[:distinct].float().cpu().numpy()
            advance(distinct)
    return out[of]


class Encoder:
    """A frozen base model that turns texts into vectors."""

    def __init__(self, spec: BaseModelParams, *, folder: Path, device: str) -> None:
        self.spec = spec
        self.device = device
        self.tokenize = load_tokenizer(folder, max_tokens=spec.max_tokens, max_characters=spec.max_characters)
        self.network = (
            load_network(folder, layers=spec.layers)
            .requires_grad_(False)
            .to(device=device, dtype=compute_type(spec.precision, device=device))
        )
        self.width = int(self.network.config.hidden_size)
        self.replacement: Vectors | None = None  # another form of the same network, used in its place

    @classmethod
    def load(
        cls,
        spec: BaseModelParams,
        *,
        folder: Path | None = None,
        models_folder: Path | None = None,
        device: str = "cpu",
    ) -> Encoder:
        """Find the base model (see `find_base_model`), check its digests and load it."""
        return cls(spec, folder=find_base_model(spec, folder=folder, models_folder=models_folder), device=device)

    def embed(self, texts: Sequence[str], *, progress: str = "") -> NDArray[np.float32]:
        """Return one vector per text, in order, shape (n, width)."""
        tokens = self.tokenize(texts)
        if self.replacement is not None:
            return self.replacement(tokens)
        return run_by_length(tokens, self.encode, width=self.width, device=self.device, progress=progress)

    def encode(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return one vector per text of a batch; `mask` is 0 where a shorter text was padded."""
        hidden = self.network(input_ids=ids, attention_mask=mask).last_hidden_state
        return pool(hidden, mask=mask, pooling=self.spec.pooling)
