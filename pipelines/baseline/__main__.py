"""Train the cheap candidate: data/split, data/label, data/bias_gate -> data/baseline/model."""

from pipelines.core.stage import run


def main() -> None:
    """Read, train, write."""
    import torch

    from pipelines.baseline.candidate import train
    from pipelines.baseline.params import BaselineParams
    from pipelines.core import store
    from pipelines.core.domain import load_domain
    from pipelines.core.encoder import Encoder
    from pipelines.core.gates import require_open
    from pipelines.core.params import load_params, load_resources
    from pipelines.core.tracking import tracked
    from pipelines.core.training import training_set

    require_open("bias_gate")
    params, resources, schema = load_params("baseline", BaselineParams), load_resources(), load_domain().schema
    torch.set_num_threads(resources.threads)
    data = training_set(
        store.read_records("split"),
        weak=store.read_records("label"),
        weights=store.read_records("bias_gate"),
        labels=schema.labels,
        soft=params.soft_labels,
        balanced=params.class_weights == "balanced",
    )
    with store.writing_folder("baseline", "model") as folder, tracked("baseline", params.model_dump()) as tracking:
        metrics = train(
            data,
            folder=folder,
            labels=schema.labels,
            features=schema.features,
            params=params,
            encoder=Encoder.load(params.base_model),
            threads=resources.threads,
            seed=resources.seed,
        )
        tracking.log({f"validation_{name}": value for name, value in metrics["validation"].items()}, step=0)
    scores = {name: metrics["validation"][name] for name in ("macro_f1", "log_loss")}
    store.write_metrics("baseline", metrics, headline={"rows": metrics["train_rows"], **scores})


if __name__ == "__main__":
    run("baseline", main)
