"""Fine-tune the base model and write its model folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.models.adapter import HEAD_FILE, save_adapter
from pipelines.models.base_model import find_base_model
from pipelines.models.encoder import compute_type, load_tokenizer
from pipelines.models.manifest import SCHEMA_VERSION, Manifest, texts_of
from pipelines.models.predictor import Predictor
from pipelines.stages.finetune import checkpoint
from pipelines.stages.finetune.batches import ActivationSource, TokenSource
from pipelines.stages.finetune.network import Classifier, build
from pipelines.stages.finetune.params import FinetuneParams
from pipelines.stages.finetune.training import Recipe, Source, Trainer
from pipelines.stats.calibration import log_loss
from pipelines.stats.comparison import macro_f1_score
from pipelines.stats.temperature import apply_temperature, fit_temperature
from pipelines.training.training_set import TrainingSet

RECIPE = tuple(Recipe.__dataclass_fields__)


def train(
    data: TrainingSet,
    *,
    folder: Path,
    labels: Sequence[str],
    params: FinetuneParams,
    seed: int,
    code: str,
    models_folder: Path | None = None,
    on_look: Callable[[dict[str, Any], int], None],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train, write the folder, and give the metrics and the curve; `code` is a digest of the code that matters.

    Where accelerate joins several processes, the first one writes, and the others give no metrics.
    """
    from accelerate import Accelerator

    spec = params.base_model
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = compute_type(spec.precision, device=device)
    accelerator = Accelerator(mixed_precision="bf16" if dtype == torch.bfloat16 else "no", cpu=device == "cpu")
    rows = drawn(len(data.train), at_most=params.max_rows, seed=seed)
    seen = drawn(len(data.gold), at_most=params.evaluate_rows, seed=seed)
    texts = texts_of(data.train.iloc[rows])
    seen_texts = texts_of(data.validation.iloc[seen])
    targets, weights, gold = data.targets[rows], data.weights[rows], data.gold[seen]
    base = find_base_model(spec, models_folder=models_folder)
    classifier, lower = build(
        base,
        layers=spec.layers,
        n_labels=len(labels),
        pooling=spec.pooling,
        mode=params.mode,
        train_layers=params.train_layers,
        cache_frozen=params.cache_frozen,
        rank=params.lora.rank,
        alpha=params.lora.alpha,
        targets=params.lora.targets,
        dropout=params.dropout,
        seed=seed,
    )
    tokenize = load_tokenizer(base, max_tokens=spec.max_tokens, max_characters=spec.max_characters)

    def source(of: list[str], progress: str) -> Source:
        if lower is None:
            return TokenSource(tokenize(of), device=accelerator.device)
        width = classifier.head.in_features
        return ActivationSource(
            tokenize(of), lower=lower, width=width, dtype=dtype, device=accelerator.device, progress=progress
        )

    at = checkpoint.folder_for(
        {
            "params": params.model_dump(),
            "inputs": digest_of(texts, seen_texts, targets, weights, gold),
            "labels": list(labels),
            "seed": seed,
            "code": code,
            "torch": torch.__version__,
            "processes": accelerator.num_processes,
            "dtype": str(dtype),
        }
    )
    recipe = Recipe(**{name: getattr(params, name) for name in RECIPE if name != "seed"}, seed=seed)
    trainer = Trainer(classifier, accelerator=accelerator, recipe=recipe, folder=at)
    validation = source(seen_texts, "frozen layers on validation") if seen_texts else None
    standing = trainer.fit(
        source(texts, "frozen layers on train"),
        targets=targets,
        weights=weights,
        validation=validation,
        gold=gold,
        on_look=on_look,
    )
    if not accelerator.is_main_process:
        return {}, standing.curve
    _write(folder, classifier, labels=labels, params=params, temperature=1.0)
    metrics = _metrics(data, folder=folder, base=base, rows=len(rows), params=params, device=device)
    _write(folder, classifier, labels=labels, params=params, temperature=metrics["temperature"])
    metrics.update(
        steps=standing.step,
        best_step=standing.best_step if standing.best_score is not None else standing.step,
        best_validation_macro_f1_in_training=standing.best_score,
        trained_weights=sum(p.numel() for p in trainer.trained.values()),
        stopped_by=_stopped_by(standing.step, of=trainer.steps_for(len(rows)), has_gold=bool(seen_texts)),
    )
    return metrics, standing.curve


def drawn(n: int, *, at_most: int, seed: int) -> NDArray[np.int64]:
    """All row numbers, or `at_most` of them drawn by the seed, in order."""
    if n <= at_most:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, n]).choice(n, size=at_most, replace=False))


def digest_of(texts: list[str], seen_texts: list[str], *arrays: NDArray[Any]) -> str:
    """sha256 of everything that training reads."""
    digest = hashlib.sha256()
    for text in (*texts, "\0", *seen_texts):
        digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _write(
    folder: Path, classifier: Classifier, *, labels: Sequence[str], params: FinetuneParams, temperature: float
) -> None:
    from safetensors.torch import save

    spec = params.base_model
    save_adapter(classifier.network, folder, base_model=spec.name, revision=spec.revision)
    head = {"weight": classifier.head.weight, "bias": classifier.head.bias}
    plain = {name: p.detach().float().cpu().contiguous() for name, p in head.items()}
    (folder / HEAD_FILE).write_bytes(save(plain))
    Manifest(
        schema_version=SCHEMA_VERSION,
        kind="finetune",
        labels=tuple(labels),
        features=(),
        encoder=spec,
        temperature=temperature,
        settings={"precision": spec.precision, "mode": params.mode, "train_layers": params.train_layers},
        files={},
    ).write(folder)


def _metrics(
    data: TrainingSet, *, folder: Path, base: Path, rows: int, params: FinetuneParams, device: str
) -> dict[str, Any]:
    """Temperature and gold validation scores of the model as it will answer, read back from its folder."""
    metrics: dict[str, Any] = {"train_rows": rows, "train_rows_there_were": len(data.train), "mode": params.mode}
    if not len(data.gold):
        none = {"rows": 0, "macro_f1": None, "log_loss": None}
        return {**metrics, "temperature": 1.0, "validation": none}
    predictor = Predictor.load(folder, encoder_folder=base, device=device)
    logits = predictor.predict_logits(data.validation, progress="gold validation")
    temperature = fit_temperature(logits, data.gold)
    validation = {
        "rows": len(data.gold),
        "macro_f1": macro_f1_score(data.gold, logits),
        "log_loss": log_loss(apply_temperature(logits, temperature=temperature), data.gold),
    }
    return {**metrics, "temperature": temperature, "validation": validation}


def _stopped_by(step: int, *, of: int, has_gold: bool) -> str:
    if not has_gold:
        return "fixed epochs: no gold validation rows"
    return "gold validation macro-F1" if step < of else "all epochs done"
