"""Fine-tune the encoder on soft labels: data/split, data/label, data/bias_gate -> data/finetune/model."""

from pipelines.runtime.project import Project
from pipelines.runtime.runner import run


def main(project: Project) -> None:
    """Read, train, write."""
    import os
    from pathlib import Path
    from typing import Any

    import pandas as pd
    import torch

    from pipelines.gates.status import require_open
    from pipelines.records.domain import load_domain
    from pipelines.runtime import store
    from pipelines.runtime.params import load_params, load_resources
    from pipelines.stages.finetune.candidate import train
    from pipelines.stages.finetune.checkpoint import code_digest
    from pipelines.stages.finetune.params import FinetuneParams
    from pipelines.stages.finetune.processes import together
    from pipelines.training.tracking import Silent, Tracking, tracked
    from pipelines.training.training_set import training_set

    require_open(project.store, "bias_gate")
    params, resources, schema = load_params("finetune", FinetuneParams), load_resources(), load_domain().schema
    torch.set_num_threads(resources.threads)
    data = training_set(
        store.read_records("split"),
        weak=store.read_records("label"),
        weights=store.read_records("bias_gate"),
        labels=schema.labels,
        soft=params.soft_labels,
        balanced=params.class_weights == "balanced",
    )

    def trained(folder: Path, tracking: Tracking | Silent) -> Any:
        return train(
            data,
            folder=folder,
            labels=schema.labels,
            params=params,
            seed=resources.seed,
            code=code_digest(),
            models_folder=project.models_folder,
            on_look=lambda numbers, step: tracking.log(numbers, step=step),
        )

    with together(params.processes) as writes:
        if not writes:
            trained(Path(os.devnull), Silent())
            return
        with store.writing_folder("finetune", "model") as folder, tracked("finetune", params.model_dump()) as tracking:
            metrics, curve = trained(folder, tracking)
    store.write_table("finetune", "curve.csv", pd.DataFrame(curve))
    scores = {name: metrics["validation"][name] for name in ("macro_f1", "log_loss")}
    store.write_metrics("finetune", metrics, headline={"rows": metrics["train_rows"], **scores})


if __name__ == "__main__":
    run("finetune", main)
