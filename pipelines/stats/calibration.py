"""Calibration of probabilities: log loss, Brier score, reliability, and calibration error with its null distribution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.stats.intervals import wilson
from pipelines.stats.temperature import SMALLEST_PROBABILITY

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram: mean confidence and accuracy of its rows, None without rows."""

    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None
    interval: tuple[float, float] | None  # Wilson, 95 %


def log_losses(probabilities: Floats, gold: Codes) -> Floats:
    """Return the negative log probability of each row's gold label; `probabilities` (n, k), `gold` (n,)."""
    given = np.asarray(probabilities)[np.arange(len(gold)), gold]
    return -np.log(np.clip(given, SMALLEST_PROBABILITY, 1.0))


def log_loss(probabilities: Floats, gold: Codes) -> float:
    """Return the mean log loss; NaN without rows."""
    return float(log_losses(probabilities, gold).mean()) if len(gold) else float("nan")


def brier_scores(probabilities: Floats, gold: Codes) -> Floats:
    """Return each row's squared distance from the truth, summed over classes: 0 to 2 (Brier 1950)."""
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(gold)), gold] = 1.0
    return np.asarray(((probabilities - truth) ** 2).sum(axis=1))


def brier(probabilities: Floats, gold: Codes) -> float:
    """Return the mean Brier score; NaN without rows."""
    return float(brier_scores(probabilities, gold).mean()) if len(gold) else float("nan")


def expected_calibration_error(confidence: Floats, right: NDArray[np.bool_], *, bins: int) -> float:
    """Return the ECE, the sum over equal-width bins of |B|/n |accuracy - confidence|; NaN without rows."""
    if len(confidence) == 0:
        return float("nan")
    gaps = np.bincount(_bin_of(confidence, bins), weights=right.astype(float) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration_error_null(confidence: Floats, *, bins: int, simulations: int, seed: int) -> tuple[float, float]:
    """Return mean and 95th percentile of the ECE of a perfectly calibrated model with these confidences, by
    simulation.
    """
    n = len(confidence)
    if n == 0:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    bin_of = _bin_of(confidence, bins)
    order = np.argsort(bin_of, kind="stable")
    sorted_confidence, starts = confidence[order], np.unique(bin_of[order], return_index=True)[1]
    errors = np.empty(simulations)
    for index in range(simulations):
        right = generator.random(n) < sorted_confidence
        errors[index] = np.abs(np.add.reduceat(right - sorted_confidence, starts)).sum() / n
    return float(errors.mean()), float(np.quantile(errors, 0.95))


def reliability(confidence: Floats, right: NDArray[np.bool_], *, bins: int) -> list[ReliabilityBin]:
    """Return the bins of a reliability diagram, empty ones included."""
    bin_of = _bin_of(confidence, bins)
    rows = np.bincount(bin_of, minlength=bins)
    summed = np.bincount(bin_of, weights=confidence, minlength=bins)
    hits = np.bincount(bin_of, weights=right.astype(float), minlength=bins)
    return [
        ReliabilityBin(
            low=index / bins,
            high=(index + 1) / bins,
            rows=int(n),
            confidence=float(summed[index] / n) if n else None,
            accuracy=float(hits[index] / n) if n else None,
            interval=wilson(int(hits[index]), int(n)) if n else None,
        )
        for index, n in enumerate(rows)
    ]


def _bin_of(confidence: Floats, bins: int) -> Codes:
    """Return the bin of each confidence: open below and closed above, so that a confidence of 1 is in the last bin."""
    return np.clip(np.ceil(np.asarray(confidence) * bins).astype(np.int64) - 1, 0, bins - 1)
