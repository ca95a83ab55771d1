"""The performance of a model at release, which late labels are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RELIABILITY_BINS, RELIABILITY_ROWS = 10, 30  # bins of confidence at most, and rows that each has at least


ReliabilityBin = tuple[float, int, int, float]


@dataclass(frozen=True)
class Performance:
    """Accuracy and log loss at release on rows that the model was not trained on.

    `reliability` has (largest confidence, rows, right answers, mean confidence) of each bin of confidence, in order.
    """

    rows: int
    right: int
    log_loss: float
    log_loss_sd: float
    reliability: tuple[ReliabilityBin, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the values; without reliability, in the form of earlier releases."""
        return {name: value for name, value in self.__dict__.items() if name != "reliability" or value}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Performance:
        """Return the performance from the values that `to_json` returned."""
        bins = tuple((float(edge), int(n), int(k), float(mean)) for edge, n, k, mean in plain.get("reliability", ()))
        return cls(**(plain | {"reliability": bins}))


def performance_of(predictions: pd.DataFrame | None) -> Performance | None:
    """Return the performance on rows with `label`, `confidence` and `gold`; None without gold rows."""
    if predictions is None or "gold" not in predictions.columns:
        return None
    known = predictions[predictions["gold"].notna()]
    if known.empty:
        return None
    right = (known["label"].astype("string") == known["gold"].astype("string")).to_numpy(dtype=bool)
    confidence = known["confidence"].to_numpy(dtype=np.float64)
    losses = losses_of_being_right(right, confidence=confidence)
    return Performance(
        rows=len(known),
        right=int(right.sum()),
        log_loss=round(float(losses.mean()), 9),
        log_loss_sd=round(float(losses.std()), 9),
        reliability=reliability_of(confidence, right=right),
    )


def reliability_of(confidence: NDArray[np.float64], *, right: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Return the bins of `Performance.reliability`, with about equal rows; empty for too few rows."""
    n_bins = min(RELIABILITY_BINS, len(confidence) // RELIABILITY_ROWS)
    if n_bins == 0:
        return ()
    edges = np.unique(np.quantile(confidence, np.arange(1, n_bins + 1) / n_bins, method="inverted_cdf"))
    place = np.searchsorted(edges, confidence)
    rows, good = np.bincount(place, minlength=len(edges)), np.bincount(place, weights=right, minlength=len(edges))
    mean = np.bincount(place, weights=confidence, minlength=len(edges)) / rows
    return tuple(
        (float(edge), int(n), int(k), round(float(m), 9)) for edge, n, k, m in zip(edges, rows, good, mean, strict=True)
    )


def estimate_accuracy(confidence: NDArray[np.float64], *, release: Performance | None, level: float) -> dict[str, Any]:
    """Return the accuracy that answers of these confidences (n,) have without labels, and its interval of that level.

    Confidence-based performance estimation (CBPE, as in NannyML): the mean of confidences calibrated on gold rows, here
    by each bin's difference between accuracy and confidence. It is right where inputs drift, and wrong where the
    meaning of a confidence changes (concept drift). The interval holds the error of the calibration, which is estimated
    on few gold rows, and the chance of the answers themselves.
    """
    known = confidence[np.isfinite(confidence)]
    result: dict[str, Any] = {"rows": len(known), "accuracy": None, "interval": None, "release_accuracy": None}
    if release is None or not release.reliability or not len(known):
        return result
    edges, rows, right, mean = (np.array(values, dtype=np.float64) for values in zip(*release.reliability, strict=True))
    share = np.bincount(np.searchsorted(edges[:-1], known), minlength=len(edges)) / len(known)
    spread = (right + 1) * (rows - right + 1) / (rows + 2) ** 2  # never 0, as that of a bin without an error would be
    estimate = min(1.0, max(0.0, float(known.mean() + share @ (right / rows - mean))))
    error = float(np.sqrt(share**2 @ (spread / rows) + share @ spread / len(known)))
    width = NormalDist().inv_cdf(0.5 + level / 2) * error
    interval = [max(0.0, estimate - width), min(1.0, estimate + width)]
    return result | {"accuracy": estimate, "interval": interval, "release_accuracy": release.right / release.rows}


def losses_of_being_right(right: NDArray[np.bool_], *, confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log loss of the binary event "the prediction is correct" with probability `confidence` (n,).

    Logged predictions have no full distributions, so this is the log loss that can be computed from them.
    """
    sure = np.clip(confidence, 1e-6, 1 - 1e-6)
    losses: NDArray[np.float64] = -np.log(np.where(right, sure, 1 - sure))
    return losses
