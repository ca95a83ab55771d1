"""Pre-flight check: the model as it will be served, loaded from the files that will be registered, under load."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.gates.verdict import Check, Verdict
from pipelines.runtime.errors import GateClosed, InputError
from pipelines.runtime.imports import PACKAGE, closure

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from pipelines.live.release.params import ReleaseParams
    from pipelines.records.schema import DomainSchema
    from pipelines.runtime.store import Store

PREDICTOR = "pipelines.models.predictor"
BATCHES = {"single": 1, "batch": 64}
MAX_RECORDS = 256  # recent gold rows that the model answers


def run_preflight(
    saved: Path, *, store: Store, schema: DomainSchema, params: ReleaseParams, candidate: str
) -> dict[str, Any]:
    """Load a saved model, compare its answers with the evaluated ones, and measure it under load.

    Returns {"figures": batch name -> latency, "verdict"}. Raises GateClosed, which names the checks that failed.
    """
    labels = list(schema.labels)
    records, expected = _evaluated_records(store, schema=schema, candidate=candidate)
    model = load_model(saved)
    same, difference = compare_answers(model.predict(records), expected=expected, labels=labels)
    seconds, clients = params.preflight_seconds, params.preflight_clients
    figures = {
        name: measure(model, records, batch=batch, seconds=seconds, clients=clients) for name, batch in BATCHES.items()
    }
    limits = {"single": params.max_p95_single_ms, "batch": params.max_p95_batch_ms}
    checks = checks_of(figures, limits=limits, same=same, difference=difference, rows=len(records))
    verdict = Verdict.of("preflight", checks)
    if not verdict.passed:
        closed = "; ".join(check.describe() for check in verdict.closed_by)
        raise GateClosed(f"pre-flight failed, nothing was registered: {closed}")
    return {"figures": figures, "verdict": verdict.to_dict()}


def _evaluated_records(store: Store, *, schema: DomainSchema, candidate: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return recent gold records as requests, and the probabilities (n, k) that `evaluate` got for them.

    Raises InputError without any, GateClosed when the stored labels are not those of the stored probabilities.
    """
    import numpy as np

    rows = store.read_records("evaluate", name="predictions")
    rows = rows[(rows["part"] == "recent") & (rows["candidate"] == candidate)]
    if rows.empty:
        raise InputError(f"pre-flight: evaluate predicted no recent gold row with {candidate}; nothing was released")
    labels = np.array(schema.labels, dtype=object)
    columns = [f"p_{label}" for label in schema.labels]
    edited = int((rows["label"].to_numpy(object) != labels[rows[columns].to_numpy().argmax(axis=1)]).sum())
    if edited:
        raise GateClosed(
            f"pre-flight: data/evaluate/predictions.parquet has another label than its probabilities for {edited} of "
            f"{len(rows)} recent rows of {candidate}: it was edited; nothing was registered"
        )
    split = store.read_records("split")
    records = split.merge(rows[["id"]], on="id").sort_values("id").head(MAX_RECORDS).reset_index(drop=True)
    expected = rows.set_index("id").loc[records["id"].tolist(), columns].to_numpy()
    return records[["text", *(feature.name for feature in schema.features)]], expected


def save_model(package: Path, target: Path, *, root: Path, features: Mapping[str, str]) -> None:
    """Save the package as an MLflow model from code to the folder `target`.

    The version ships the predictor's modules and what they import, and nothing else of the checkout `root`.
    """
    import logging
    import warnings

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    code = target.with_name(f"{target.name}-code")
    shutil.rmtree(code, ignore_errors=True)
    for file in closure([PREDICTOR], root=root):
        copy = code / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    shutil.rmtree(target, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema, TensorSpec

        columns: list[ColSpec | TensorSpec] = [ColSpec("string", "text")]
        columns += [
            ColSpec("string" if kind == "category" else "double", name, required=False)
            for name, kind in features.items()
        ]
        mlflow.pyfunc.save_model(
            str(target),
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"package": str(package)},
            code_paths=[str(code / PACKAGE)],
            signature=ModelSignature(inputs=Schema(columns)),
            pip_requirements=_requirements(),
        )
    shutil.rmtree(code)


def load_model(folder: Path) -> Any:
    """Return the model as MLflow serves it."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        return mlflow.pyfunc.load_model(str(folder))


def measure(model: Any, records: pd.DataFrame, *, batch: int, seconds: float, clients: int) -> dict[str, float | int]:
    """Return latency percentiles in milliseconds and records per second, with `clients` concurrent callers.

    Raises InputError without records, and when the model fails.
    """
    import numpy as np

    if records.empty:
        raise InputError("pre-flight: no records to predict")
    laps: list[float] = []
    errors: list[BaseException] = []
    until = time.monotonic() + seconds

    def call(offset: int) -> None:
        position = offset
        try:
            while not errors:
                rows = np.arange(position, position + batch) % len(records)
                began = time.perf_counter()
                model.predict(records.iloc[rows])
                laps.append((time.perf_counter() - began) * 1000)
                position += batch * clients
                if time.monotonic() >= until:
                    return
        except BaseException as error:
            errors.append(error)

    model.predict(records.iloc[np.arange(batch) % len(records)])  # warm
    began = time.monotonic()
    threads = [threading.Thread(target=call, args=(index * batch,)) for index in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise InputError(f"pre-flight: the model failed on a batch of {batch}: {errors[0]!r}") from errors[0]
    p50, p95, p99 = np.percentile(laps, [50, 95, 99])
    return {
        "batch": batch,
        "calls": len(laps),
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "p99_ms": round(float(p99), 2),
        "records_per_second": round(len(laps) * batch / (time.monotonic() - began), 1),
    }


def compare_answers(answer: pd.DataFrame, *, expected: np.ndarray, labels: list[str]) -> tuple[float, float]:
    """Return the share of records with the evaluated label, and the largest difference of a probability.

    `expected` holds the evaluated probabilities, (n, k) in the order of `labels`. Raises InputError for NaN.
    """
    import numpy as np

    served = answer[[f"p_{label}" for label in labels]].to_numpy()
    if not np.isfinite(served).all():
        raise InputError(
            "pre-flight: the model returns a probability that is not a finite number; nothing was released"
        )
    same = float((served.argmax(axis=1) == expected.argmax(axis=1)).mean())
    return same, float(np.abs(served - expected).max())


def checks_of(
    figures: dict[str, dict[str, Any]], *, limits: dict[str, float], same: float, difference: float, rows: int
) -> list[Check]:
    """Return the pre-flight as checks: served answers equal the evaluated ones, latency stays within its limits."""
    rest: dict[str, Any] = {"rows": rows, "min_rows": 1, "required": True}
    checks = [
        Check.at_least(
            "served_label_is_evaluated",
            same,
            limit=0.99,
            sentence="share of records that get the evaluated label",
            **rest,
        ),
        # Batches of another composition round differently in bfloat16, so equal bytes cannot be required here.
        Check.at_most(
            "served_differs_from_evaluated",
            difference,
            limit=0.05,
            sentence="largest difference between a served probability and the evaluated one",
            **rest,
        ),
    ]
    for name, figure in figures.items():
        checks.append(
            Check.at_most(
                f"p95_{name}_ms",
                figure["p95_ms"],
                limit=limits[name],
                rows=figure["calls"],
                min_rows=1,
                required=True,
                sentence=f"95th percentile of the latency of {figure['batch']} record(s), milliseconds",
            )
        )
    return checks


def _requirements() -> list[str]:
    from importlib.metadata import version

    names = ["lightgbm", "mlflow", "numpy", "pandas", "peft", "pyarrow", "pydantic", "safetensors", "torch"]
    names += ["tokenizers", "transformers"]
    return [f"{name}=={version(name).split('+')[0]}" for name in names]
