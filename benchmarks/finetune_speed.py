"""Tokens per second of fine-tuning: the stage's own loop against the plain HF Trainer with the same base model.

`python -m benchmarks.finetune_speed` on a CPU or a GPU. `--lora` trains adapters on all layers, as on a GPU, instead of
what params.yaml configures; `--base FOLDER` uses another base model than the pinned one (also a decoder). Both train on
the same texts, cut at the same length, in batches of the same number of rows, for the same epochs, without evaluations
on validation. The Trainer is used as its documentation shows: AutoModelForSequenceClassification, padding by batch, all
weights (with --lora: PEFT on all linear modules), bf16 where the stage computes in it, defaults for everything else.
Only real tokens count, not padding. The stage's time includes its frozen layers, computed once.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.out import write_section
from benchmarks.parameters import MODELS, parameters
from pipelines.runtime.runner import fix_process

LABELS = tuple(f"label_{n}" for n in range(9))


def texts(n: int) -> list[str]:
    """Return texts as long as real complaints are: 62 % of them fill 128 tokens."""
    random = np.random.default_rng(0)
    words = [
        "account",
        "bank",
        "card",
        "charge",
        "credit",
        "debt",
        "fee",
        "letter",
        "loan",
        "money",
        "payment",
        "report",
    ]
    lengths = np.clip(random.lognormal(4.9, 0.9, n), 8, 600).astype(int)
    return [" ".join(random.choice(words, length)) for length in lengths]


def clock(device: str) -> float:
    """Return seconds on a GPU; on a CPU, which other programs may use too, processor seconds per thread."""
    import torch

    return time.perf_counter() if device == "cuda" else time.process_time() / torch.get_num_threads()


def ours(rows: list[str], *, params: Any, base: Path, device: str) -> float:
    """Return the seconds of the stage's training on these rows."""
    from accelerate import Accelerator

    from pipelines.models.encoder import compute_type, load_tokenizer
    from pipelines.stages.finetune.batches import ActivationSource, TokenSource
    from pipelines.stages.finetune.candidate import RECIPE
    from pipelines.stages.finetune.network import build
    from pipelines.stages.finetune.training import Recipe, Rows, Trainer
    from pipelines.training.tracking import NoTracking

    spec = params.base_model
    dtype = compute_type(spec.precision, device=device)
    accelerator = Accelerator(mixed_precision="bf16" if "bfloat16" in str(dtype) else "no", cpu=device == "cpu")
    began = clock(device)
    network, lower = build(base, params=params, n_labels=len(LABELS), seed=0)
    tokens = load_tokenizer(base, max_tokens=spec.max_tokens, max_characters=spec.max_characters)(rows)
    source: Any = TokenSource(tokens, device=accelerator.device)
    if lower is not None:
        width = network.head.in_features
        source = ActivationSource(tokens, lower=lower, width=width, dtype=dtype, device=accelerator.device, progress="")
    recipe = Recipe(
        **{name: getattr(params, name) for name in RECIPE if name != "seed"} | {"evaluate_every": 10**9}, seed=0
    )
    with TemporaryDirectory() as scratch:
        targets = np.eye(len(LABELS))[np.arange(len(rows)) % len(LABELS)]
        trainer = Trainer(network, accelerator=accelerator, recipe=recipe, folder=Path(scratch))
        data = Rows(source, targets=targets, weights=np.ones(len(rows)), ids=[str(n) for n in range(len(rows))])
        trainer.fit(data, validation=None, gold=np.empty(0, dtype=np.int64), tracker=NoTracking())
    return clock(device) - began


def plain(rows: list[str], *, params: Any, base: Path, device: str, lora: bool) -> float:
    """Return the seconds of the HF Trainer on the same rows."""
    import transformers
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        TrainingArguments,
    )

    from pipelines.models.encoder import compute_type

    tokenizer = AutoTokenizer.from_pretrained(base)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    began = clock(device)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(LABELS), dtype="float32")
    model.config.pad_token_id = tokenizer.pad_token_id
    if lora:
        from peft import LoraConfig, TaskType, get_peft_model

        config = LoraConfig(task_type=TaskType.SEQ_CLS, r=params.lora.rank, lora_alpha=params.lora.alpha,
                            target_modules="all-linear")  # fmt: skip
        model = get_peft_model(model, config)
    encoded = tokenizer(rows, truncation=True, max_length=params.base_model.max_tokens)
    pairs = zip(encoded["input_ids"], encoded["attention_mask"], strict=True)
    data = [
        {"input_ids": ids, "attention_mask": mask, "labels": n % len(LABELS)} for n, (ids, mask) in enumerate(pairs)
    ]
    with TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            scratch, num_train_epochs=params.epochs, per_device_train_batch_size=params.batch_rows, report_to=[],
            bf16="bfloat16" in str(compute_type(params.base_model.precision, device=device)), use_cpu=device == "cpu",
            save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=device != "cpu",
        )  # fmt: skip
        transformers.Trainer(
            model, arguments, train_dataset=data, data_collator=DataCollatorWithPadding(tokenizer)
        ).train()
    return clock(device) - began


def main() -> None:
    """Time both in turns, and write the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=640)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--lora", action="store_true", help="adapters on all layers, nothing cached")
    arguments.add_argument("--base", type=Path, help="folder of another base model")
    arguments.add_argument("--max-tokens", type=int)
    options = arguments.parse_args()
    import accelerate  # noqa: F401  imports are not timed
    import peft  # noqa: F401
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification, Trainer  # noqa: F401

    from pipelines.models.base_model import CONFIG, TOKENIZER, file_sha256, find_base_model, weights_digest
    from pipelines.models.encoder import load_tokenizer
    from pipelines.stages.finetune.params import FinetuneParams

    params, device = parameters("finetune", FinetuneParams), "cuda" if torch.cuda.is_available() else "cpu"
    spec: dict[str, Any] = {"max_tokens": options.max_tokens} if options.max_tokens else {}
    if options.base:
        spec |= {"name": options.base.resolve().name, "sha256": weights_digest(options.base),
                 "tokenizer_sha256": file_sha256(options.base / TOKENIZER),
                 "config_sha256": file_sha256(options.base / CONFIG)}  # fmt: skip
    changed: dict[str, Any] = {"base_model": params.base_model.model_copy(update=spec)}
    if options.lora or device == "cuda":
        changed |= {"mode": "lora", "train_layers": None, "cache_frozen": False}
    params = params.model_copy(update=changed)
    rows, base = texts(options.rows), params.base_model
    folder = find_base_model(base, folder=options.base, models_folder=MODELS)
    tokenize = load_tokenizer(folder, max_tokens=base.max_tokens, max_characters=base.max_characters)
    tokens = sum(map(len, tokenize(rows))) * params.epochs
    laps: dict[str, list[float]] = {"ours": [], "plain": []}
    lora = params.train_layers is None
    for _ in range(options.rounds):
        laps["ours"].append(ours(rows, params=params, base=folder, device=device))
        laps["plain"].append(plain(rows, params=params, base=folder, device=device, lora=lora))
        print({name: [round(lap, 1) for lap in times] for name, times in laps.items()}, flush=True)
    best = {name: min(times) for name, times in laps.items()}
    what = "LoRA on all layers" if lora else f"top {params.train_layers} layers, the frozen ones cached"
    place = torch.cuda.get_device_name(0) if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    lines = [
        f"## Fine-tuning speed: {best['plain'] / best['ours']:.1f} times the plain HF Trainer, {what}",
        "",
        f"`python -m benchmarks.finetune_speed{' --lora' if options.lora else ''}`: {base.name}, {options.rows} texts",
        f"of at most {base.max_tokens} tokens, {params.epochs} epochs, batches of {params.batch_rows}; best of",
        f"{options.rounds} in turns; {place}; {'processor seconds' if device == 'cpu' else 'seconds'}, real tokens only.",
        "",
        "| method | s | tokens/s |",
        "|---|---|---|",
        f"| stage finetune ({what}) | {best['ours']:.1f} | {tokens / best['ours']:,.0f} |",
        f"| HF Trainer ({'LoRA on all layers' if lora else 'all weights'}) | {best['plain']:.1f} "
        f"| {tokens / best['plain']:,.0f} |",
    ]
    print("\n".join(lines))
    write_section(f"finetune_speed_{'lora' if lora else 'top'}_{device}", "\n".join(lines))


if __name__ == "__main__":
    fix_process(threads=2)
    import torch

    torch.set_num_threads(2)
    main()
