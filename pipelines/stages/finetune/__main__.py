"""Fine-tune the base model on the weak labels: data/split, data/label, data/bias_gate -> data/finetune/model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipelines.runtime.project import Project
from pipelines.runtime.runner import run

if TYPE_CHECKING:
    from pipelines.runtime.store import Store
    from pipelines.stages.finetune.params import FinetuneParams
    from pipelines.training.training_set import TrainingSet

logger = logging.getLogger(__name__)


def main(project: Project) -> None:
    """Read, train, write; a run without texts has no fine-tuned model."""
    from pipelines.gates.status import require_open
    from pipelines.records.domain import Domain
    from pipelines.stages.finetune.params import FinetuneParams
    from pipelines.training.absence import NO_TEXT, has_text
    from pipelines.training.training_set import read_training_set

    store = project.store
    require_open(store, "bias_gate")
    params, labels = project.section("finetune", FinetuneParams), Domain(project.domain_folder).schema.labels
    balanced = params.class_weights == "balanced"
    data = read_training_set(store, labels=labels, soft=params.soft_labels, balanced=balanced)
    if has_text(data.train):
        fit(project, data, labels=tuple(labels), params=params)
    else:
        skip(store, reason=NO_TEXT, rows=len(data.train), labels=tuple(labels))


def fit(project: Project, data: TrainingSet, *, labels: tuple[str, ...], params: FinetuneParams) -> None:
    """Train and write the model, its metrics and its curve."""
    import os
    from pathlib import Path

    import pandas as pd
    import torch

    from pipelines.models.base_model import find_base_model
    from pipelines.stages.finetune.candidate import Job, train
    from pipelines.stages.finetune.checkpoint import code_digest
    from pipelines.stages.finetune.processes import together
    from pipelines.training.tracking import NoTracking, tracked
    from pipelines.training.validation import write_validation

    store, resources = project.store, project.resources
    torch.set_num_threads(resources.threads)
    job = Job(
        data,
        labels=labels,
        params=params,
        base=find_base_model(params.base_model, models_folder=project.models_folder),
        seed=resources.seed,
        code=code_digest(),
        checkpoints=project.state / "checkpoints",
    )
    with together(params.processes) as writes:
        if not writes:
            train(job, folder=Path(os.devnull), tracker=NoTracking())
            return
        with store.writing_folder("finetune", "model") as folder, tracked(project, "finetune", params) as tracker:
            metrics, curve = train(job, folder=folder, tracker=tracker)
    store.write_table("finetune", "curve.csv", pd.DataFrame(curve))
    write_validation(store, "finetune", data.validation, metrics.pop("validation_probabilities"), labels=labels)
    scores = {name: metrics["validation"][name] for name in ("macro_f1", "log_loss")}
    store.write_metrics("finetune", metrics, headline={"rows": metrics["train_rows"], **scores})


def skip(store: Store, *, reason: str, rows: int, labels: tuple[str, ...]) -> None:
    """Write that this run has no fine-tuned model, and why, in the files that a model would be in."""
    import pandas as pd

    from pipelines.training.absence import write_absence
    from pipelines.training.validation import write_validation

    logger.warning("no fine-tuned model: %s", reason)
    with store.writing_folder("finetune", "model") as folder:
        write_absence(folder, reason)
    store.write_table("finetune", "curve.csv", pd.DataFrame(columns=["step", "loss", "validation_macro_f1"]))
    write_validation(store, "finetune", pd.DataFrame({"id": []}), [], labels=labels)
    store.write_metrics("finetune", {"absent": reason, "train_rows_available": rows}, headline={"rows": 0})


if __name__ == "__main__":
    run("finetune", main)
