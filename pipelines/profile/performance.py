"""The performance of a model at release, which late labels are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Performance:
    """Accuracy and log loss at release on rows that the model was not trained on."""

    rows: int
    right: int
    log_loss: float
    log_loss_sd: float


def performance_of(predictions: pd.DataFrame | None) -> Performance | None:
    """Return the performance on rows with `label`, `confidence` and `gold`; None without gold rows."""
    if predictions is None or "gold" not in predictions.columns:
        return None
    known = predictions[predictions["gold"].notna()]
    if known.empty:
        return None
    right = (known["label"].astype("string") == known["gold"].astype("string")).to_numpy(dtype=bool)
    losses = losses_of_being_right(right, confidence=known["confidence"].to_numpy(dtype=np.float64))
    return Performance(
        rows=len(known),
        right=int(right.sum()),
        log_loss=round(float(losses.mean()), 9),
        log_loss_sd=round(float(losses.std()), 9),
    )


def losses_of_being_right(right: NDArray[np.bool_], *, confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log loss of the binary event "the prediction is correct" with probability `confidence` (n,).

    Logged predictions have no full distributions, so this is the log loss that can be computed from them.
    """
    sure = np.clip(confidence, 1e-6, 1 - 1e-6)
    losses: NDArray[np.float64] = -np.log(np.where(right, sure, 1 - sure))
    return losses
