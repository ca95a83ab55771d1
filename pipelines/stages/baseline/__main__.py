"""Train the baseline: data/split, data/label, data/bias_gate -> data/baseline/model."""

import logging

from pipelines.runtime.project import Project
from pipelines.runtime.runner import run

logger = logging.getLogger(__name__)


def main(project: Project) -> None:
    """Read, train, write."""
    import torch

    from pipelines.gates.status import require_open
    from pipelines.models.encoder import Encoder
    from pipelines.records.domain import Domain
    from pipelines.stages.baseline.candidate import train
    from pipelines.stages.baseline.params import BaselineParams
    from pipelines.training.tracking import tracked
    from pipelines.training.training_set import read_training_set, scarce_labels
    from pipelines.training.validation import write_validation

    store, resources = project.store, project.resources
    require_open(store, "bias_gate")
    params, schema = project.section("baseline", BaselineParams), Domain(project.domain_folder).schema
    torch.set_num_threads(resources.threads)
    balanced = params.class_weights == "balanced"
    data = read_training_set(store, labels=schema.labels, soft=params.soft_labels, balanced=balanced)
    scarce = scarce_labels(data, labels=schema.labels, min_rows=params.min_class_rows)
    for label, rows in scarce.items():
        logger.warning(
            "label %s has %g training rows, fewer than baseline.min_class_rows = %d: expect few right answers for it",
            label,
            rows,
            params.min_class_rows,
        )
    with store.writing_folder("baseline", "model") as folder, tracked(project, "baseline", params) as tracking:
        metrics = train(
            data,
            folder=folder,
            labels=schema.labels,
            features=schema.features,
            params=params,
            encoder=Encoder.load(params.base_model, models_folder=project.models_folder),
            threads=resources.threads,
            seed=resources.seed,
        )
        tracking.log({f"validation_{name}": value for name, value in metrics["validation"].items()}, step=0)
    write_validation(store, "baseline", data.validation, metrics.pop("validation_probabilities"), labels=schema.labels)
    metrics["scarce_labels"] = scarce
    scores = {name: metrics["validation"][name] for name in ("macro_f1", "log_loss")}
    store.write_metrics("baseline", metrics, headline={"rows": metrics["train_rows"], **scores})


if __name__ == "__main__":
    run("baseline", main)
