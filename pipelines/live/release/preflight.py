"""Pre-flight: the model as it will be served, loaded from the files that will be registered, under load."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.gates.verdict import Check
from pipelines.runtime.errors import InputError
from pipelines.runtime.imports import PACKAGE, closure

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PREDICTOR = "pipelines.models.predictor"
BATCHES = {"single": 1, "batch": 64}


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
    """The model as MLflow serves it."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        return mlflow.pyfunc.load_model(str(folder))


def measure(model: Any, records: pd.DataFrame, *, batch: int, seconds: float, clients: int) -> dict[str, float | int]:
    """Latency percentiles in milliseconds and throughput in records a second, with `clients` callers at once."""
    import numpy as np

    if records.empty:
        raise InputError("pre-flight: there is no record to predict")
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
    """Share of records with the evaluated label, and largest difference of a probability; InputError for NaN."""
    import numpy as np

    served = answer[[f"p_{label}" for label in labels]].to_numpy()
    if not np.isfinite(served).all():
        raise InputError("pre-flight: the model answers a probability that is not a number; nothing was released")
    same = float((served.argmax(axis=1) == expected.argmax(axis=1)).mean())
    return same, float(np.abs(served - expected).max())


def checks_of(
    figures: dict[str, dict[str, Any]], *, limits: dict[str, float], same: float, difference: float, rows: int
) -> list[Check]:
    """The pre-flight as checks: served answers equal the evaluated ones, and latency stays within its limits."""
    rest: dict[str, Any] = {"rows": rows, "min_rows": 1, "required": True}
    checks = [
        Check.at_least(
            "served_label_is_evaluated",
            same,
            limit=0.99,
            sentence="share of records that get the evaluated label",
            **rest,
        ),
        # Batches of another make-up round differently in bfloat16, so equal bytes are not to be had here.
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
