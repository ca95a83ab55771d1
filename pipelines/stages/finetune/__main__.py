"""Fine-tune the base model on the weak labels: data/split, data/label, data/bias_gate -> data/finetune/model."""

from pipelines.runtime.project import Project
from pipelines.runtime.runner import run


def main(project: Project) -> None:
    """Read, train, write."""
    import os
    from pathlib import Path

    import pandas as pd
    import torch

    from pipelines.gates.status import require_open
    from pipelines.models.base_model import find_base_model
    from pipelines.records.domain import Domain
    from pipelines.stages.finetune.candidate import Job, train
    from pipelines.stages.finetune.checkpoint import code_digest
    from pipelines.stages.finetune.params import FinetuneParams
    from pipelines.stages.finetune.processes import together
    from pipelines.training.tracking import NoTracking, tracked
    from pipelines.training.training_set import read_training_set

    store, resources = project.store, project.resources
    require_open(store, "bias_gate")
    params, labels = project.section("finetune", FinetuneParams), Domain(project.domain_folder).schema.labels
    torch.set_num_threads(resources.threads)
    balanced = params.class_weights == "balanced"
    job = Job(
        read_training_set(store, labels=labels, soft=params.soft_labels, balanced=balanced),
        labels=tuple(labels),
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
    scores = {name: metrics["validation"][name] for name in ("macro_f1", "log_loss")}
    store.write_metrics("finetune", metrics, headline={"rows": metrics["train_rows"], **scores})


if __name__ == "__main__":
    run("finetune", main)
