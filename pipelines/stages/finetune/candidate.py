"""Fine-tune the base model and write its model folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.models.adapter import HEAD_FILE, save_adapter
from pipelines.models.encoder import compute_type, load_tokenizer
from pipelines.models.manifest import SCHEMA_VERSION, Manifest, texts_of
from pipelines.models.predictor import Predictor
from pipelines.stages.finetune import checkpoint
from pipelines.stages.finetune.batches import ActivationSource, TokenSource
from pipelines.stages.finetune.network import Classifier, build
from pipelines.stages.finetune.params import FinetuneParams
from pipelines.stages.finetune.training import Recipe, Rows, Source, Trainer
from pipelines.stats.calibration import log_loss
from pipelines.stats.comparison import macro_f1_score
from pipelines.stats.temperature import apply_temperature, fit_temperature
from pipelines.training.tracking import Tracker
from pipelines.training.training_set import TrainingSet

RECIPE = tuple(Recipe.__dataclass_fields__)


@dataclass(frozen=True)
class Job:
    """What a training depends on, besides the machine and the versions of libraries."""

    data: TrainingSet
    labels: tuple[str, ...]
    params: FinetuneParams
    base: Path  # folder of the base model
    seed: int
    code: str  # digest of the code that training runs
    checkpoints: Path  # folder of the checkpoints of all runs

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Training rows, at most `max_rows`."""
        return drawn(len(self.data.train), at_most=self.params.max_rows, seed=self.seed)

    @cached_property
    def held_rows(self) -> NDArray[np.int64]:
        """Gold validation rows that are evaluated during training, at most `evaluate_rows`."""
        return drawn(len(self.data.gold), at_most=self.params.evaluate_rows, seed=self.seed)


def train(job: Job, *, folder: Path, tracker: Tracker) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train, write the model folder, and return the metrics and the curve.

    A run that was stopped is resumed from its checkpoint. Where accelerate joins several processes, the first one
    writes, and the others return no metrics.
    """
    from accelerate import Accelerator

    params, spec = job.params, job.params.base_model
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = compute_type(spec.precision, device=device)
    accelerator = Accelerator(mixed_precision="bf16" if dtype == torch.bfloat16 else "no", cpu=device == "cpu")
    classifier, lower = build(job.base, params=params, n_labels=len(job.labels), seed=job.seed)
    tokenize = load_tokenizer(job.base, max_tokens=spec.max_tokens, max_characters=spec.max_characters)

    def source(texts: list[str], progress: str) -> Source:
        if lower is None:
            return TokenSource(tokenize(texts), device=accelerator.device)
        return ActivationSource(
            tokenize(texts),
            lower=lower,
            width=classifier.head.in_features,
            dtype=dtype,
            device=accelerator.device,
            progress=progress,
        )

    ids = job.data.train["id"].astype(str).iloc[job.rows].tolist()
    texts, held_texts = texts_of(job.data.train.iloc[job.rows]), texts_of(job.data.validation.iloc[job.held_rows])
    targets, weights, gold = job.data.targets[job.rows], job.data.weights[job.rows], job.data.gold[job.held_rows]
    key = {
        "params": params.model_dump(),
        "inputs": digest_of(texts, held_texts, targets, weights, gold),
        "labels": list(job.labels),
        "seed": job.seed,
        "code": job.code,
        "torch": torch.__version__,
        "processes": accelerator.num_processes,
        "dtype": str(dtype),
    }
    recipe = Recipe(**{name: getattr(params, name) for name in RECIPE if name != "seed"}, seed=job.seed)
    trainer = Trainer(
        classifier, accelerator=accelerator, recipe=recipe, folder=checkpoint.folder_for(key, root=job.checkpoints)
    )
    held = source(held_texts, "frozen layers on validation") if held_texts else None
    rows = Rows(source(texts, "frozen layers on train"), targets=targets, weights=weights, ids=ids)
    state = trainer.fit(rows, validation=held, gold=gold, tracker=tracker)
    if not accelerator.is_main_process:
        return {}, state.curve
    write_model(folder, classifier, labels=job.labels, params=params, temperature=1.0)
    metrics = _metrics(job, folder=folder, device=device)
    write_model(folder, classifier, labels=job.labels, params=params, temperature=metrics["temperature"])
    metrics.update(
        steps=state.step,
        best_step=state.best_step if state.best_score is not None else state.step,
        best_validation_macro_f1_in_training=state.best_score,
        trained_weights=sum(p.numel() for p in trainer.trained.values()),
        stopped_by=_stopped_by(state.step, of=trainer.steps_for(len(job.rows)), has_gold=bool(held_texts)),
    )
    return metrics, state.curve


def drawn(n: int, *, at_most: int, seed: int) -> NDArray[np.int64]:
    """Return all row numbers, or `at_most` of them drawn by the seed, in order."""
    if n <= at_most:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, n]).choice(n, size=at_most, replace=False))


def digest_of(texts: list[str], held_texts: list[str], *arrays: NDArray[Any]) -> str:
    """Return the sha256 of all rows that training reads."""
    digest = hashlib.sha256()
    for text in (*texts, "\0", *held_texts):
        digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_model(
    folder: Path, classifier: Classifier, *, labels: tuple[str, ...], params: FinetuneParams, temperature: float
) -> None:
    """Write adapter, head and predictor.json."""
    from safetensors.torch import save

    spec = params.base_model
    save_adapter(classifier.network, folder, base_model=spec.name, revision=spec.revision)
    head = {"weight": classifier.head.weight, "bias": classifier.head.bias}
    plain = {name: p.detach().float().cpu().contiguous() for name, p in head.items()}
    (folder / HEAD_FILE).write_bytes(save(plain))
    Manifest(
        schema_version=SCHEMA_VERSION,
        kind="finetune",
        labels=labels,
        features=(),
        encoder=spec,
        temperature=temperature,
        settings={"precision": spec.precision, "mode": params.mode, "train_layers": params.train_layers},
        files={},
    ).write(folder)


def _metrics(job: Job, *, folder: Path, device: str) -> dict[str, Any]:
    """Return temperature and gold validation scores of the model as it will predict, read back from its folder."""
    data = job.data
    metrics: dict[str, Any] = {
        "train_rows": len(job.rows),
        "train_rows_available": len(data.train),
        "mode": job.params.mode,
    }
    if not len(data.gold):
        none = {"rows": 0, "macro_f1": None, "log_loss": None}
        return {**metrics, "temperature": 1.0, "validation": none, "validation_probabilities": []}
    predictor = Predictor.load(folder, encoder_folder=job.base, device=device)
    logits = predictor.predict_logits(data.validation, progress="gold validation")
    temperature = fit_temperature(logits, data.gold)
    probabilities = apply_temperature(logits, temperature=temperature)
    validation = {
        "rows": len(data.gold),
        "macro_f1": macro_f1_score(data.gold, logits),
        "log_loss": log_loss(probabilities, data.gold),
    }
    return {
        **metrics,
        "temperature": temperature,
        "validation": validation,
        "validation_probabilities": probabilities.tolist(),
    }


def _stopped_by(step: int, *, of: int, has_gold: bool) -> str:
    if not has_gold:
        return "fixed epochs: no gold validation rows"
    return "gold validation macro-F1" if step < of else "all epochs done"
