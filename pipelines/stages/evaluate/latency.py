"""How long each candidate takes for one record, measured here.

The figures depend on the machine, so they are in no evidence that a second run must repeat: DVC does not track the
file, and the model card shows it only for the models that were measured.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

CALLS = 15


class Classifier(Protocol):
    """What is measured."""

    def predict_proba(self, records: pd.DataFrame) -> Any:
        """Return probabilities of records."""
        ...


def single_record_ms(model: Classifier, rows: pd.DataFrame) -> float | None:
    """Return the median time for one record, milliseconds, over rows spread over the frame; None without rows."""
    if rows.empty:
        return None
    places = np.linspace(0, len(rows) - 1, CALLS).round().astype(int)
    model.predict_proba(rows.iloc[places[:1]])  # warm
    laps = []
    for place in places:
        began = time.perf_counter()
        model.predict_proba(rows.iloc[[place]])
        laps.append(1000 * (time.perf_counter() - began))
    return float(np.median(laps))


def latencies(predictors: Mapping[str, Classifier], rows: pd.DataFrame, *, models: Mapping[str, str]) -> dict[str, Any]:
    """Return per candidate its median time and the ratio to the first one, with the digests of the models."""
    found: dict[str, Any] = {}
    first: float | None = None
    for name, predictor in predictors.items():
        if (median := single_record_ms(predictor, rows)) is not None:
            first = first or median
            found[name] = {"single_ms": round(median, 2), "ratio": round(median / first, 2)}
    return {"models": dict(models), "candidates": found}
