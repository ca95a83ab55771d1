"""Fine-tuning jobs on a tiny base model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.models.base_model import BaseModelParams, find_base_model
from pipelines.stages.finetune.candidate import Job
from pipelines.stages.finetune.params import FinetuneParams
from pipelines.training.training_set import TrainingSet
from tests.factories.tiny_base_model import write_tiny_base_model

LABELS = ("card", "loan")


def finetune_params(models: Path, **changed: Any) -> FinetuneParams:
    """Return parameters of a training of a few steps on the tiny base model below `models`."""
    usual = {
        "mode": "top_layers",
        "train_layers": 1,
        "cache_frozen": True,
        "processes": 1,
        "lora": {"rank": 2, "alpha": 4, "targets": "all-linear"},
        "soft_labels": True,
        "class_weights": "none",
        "max_rows": 32,
        "epochs": 3,
        "batch_rows": 8,
        "learning_rate": 0.01,
        "head_learning_rate": 0.01,
        "weight_decay": 0.0,
        "warmup_share": 0.05,
        "dropout": 0.1,
        "clip_norm": 1.0,
        "evaluate_every": 2,
        "evaluate_rows": 8,
        "patience": 20,
    }
    if "base_model" not in changed:
        changed["base_model"] = BaseModelParams(**write_tiny_base_model(models), max_characters=500, pooling="mean")
    return FinetuneParams.model_validate({**usual, **changed})


def job_of(data: TrainingSet, *, params: FinetuneParams, folder: Path, checkpoints: str = "checkpoints") -> Job:
    """Return a training of `data`; base models are in `folder/models`, checkpoints in `folder/<checkpoints>`."""
    return Job(
        data,
        labels=LABELS,
        params=params,
        base=find_base_model(params.base_model, models_folder=folder / "models"),
        seed=1,
        code="x",
        checkpoints=folder / checkpoints,
    )


class Calls:
    """A tracker that calls a function with each step's metrics."""

    def __init__(self, call: Any = lambda metrics, step: None) -> None:
        self.call = call

    def log(self, metrics: dict[str, Any], *, step: int) -> None:
        """Call the function."""
        self.call(metrics, step)
