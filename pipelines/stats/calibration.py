"""How far stated confidence can be believed: temperature, log loss, Brier score, calibration error with its null."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
TEMPERATURE_BOUNDS = (0.05, 20.0)  # beyond these the classes are separable, or the scores say nothing
SMALLEST_PROBABILITY = 1e-12  # log loss of a certainty that is wrong: 27.6, not infinity


@dataclass(frozen=True)
class ReliabilityBin:
    """One bar of a reliability diagram: what the model said, and how often it was right."""

    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None
    interval: tuple[float, float] | None  # Wilson, 95 %


def apply_temperature(scores: Floats, *, temperature: float) -> Floats:
    """Probabilities of logits (or log-probabilities) divided by a temperature: softmax(scores / T)."""
    scaled = np.asarray(scores, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    raised = np.exp(scaled)
    return raised / raised.sum(axis=1, keepdims=True)


def fit_temperature(scores: Floats, gold: Codes) -> float:
    """The temperature with the least log loss on gold rows (Guo et al. 2017); 1.0 where there is nothing to fit on.

    The truth of n rows counts (n + 1) / (n + k) and not 1, each other class 1 / (n + k), as Platt (1999) has it: a few
    rows that are all right are no proof of certainty, and would make the temperature as small as it may be.
    """
    from scipy.optimize import minimize_scalar

    if len(gold) == 0:
        return 1.0
    bounds = tuple(np.log(TEMPERATURE_BOUNDS))
    n, k = np.shape(scores)

    def loss(log_temperature: float) -> float:
        said = apply_temperature(scores, temperature=float(np.exp(log_temperature)))
        logs = np.log(np.clip(said, SMALLEST_PROBABILITY, 1.0))
        return float(-(n * logs[np.arange(n), gold].sum() + logs.sum()) / (n * (n + k)))

    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def log_losses(probabilities: Floats, gold: Codes) -> Floats:
    """Minus the logarithm of the probability that each row's gold label was given."""
    given = np.asarray(probabilities)[np.arange(len(gold)), gold]
    return -np.log(np.clip(given, SMALLEST_PROBABILITY, 1.0))


def log_loss(probabilities: Floats, gold: Codes) -> float:
    """The mean log loss; NaN without rows."""
    return float(log_losses(probabilities, gold).mean()) if len(gold) else float("nan")


def brier_scores(probabilities: Floats, gold: Codes) -> Floats:
    """Each row's squared distance between the probabilities and the truth, summed over classes: 0 to 2 (Brier 1950)."""
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(gold)), gold] = 1.0
    return np.asarray(((probabilities - truth) ** 2).sum(axis=1))


def brier(probabilities: Floats, gold: Codes) -> float:
    """The mean Brier score; NaN without rows."""
    return float(brier_scores(probabilities, gold).mean()) if len(gold) else float("nan")


def expected_calibration_error(confidence: Floats, right: NDArray[np.bool_], *, bins: int) -> float:
    """ECE = sum over bins of |B|/N |accuracy - confidence| on equal bins of confidence; NaN without rows."""
    if len(confidence) == 0:
        return float("nan")
    gaps = np.bincount(_bin_of(confidence, bins), weights=right.astype(float) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration_error_null(confidence: Floats, *, bins: int, simulations: int, seed: int) -> tuple[float, float]:
    """Mean and 95th percentile of the ECE that a perfectly calibrated model with these confidences would show."""
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
    """The bars of a reliability diagram, empty ones too."""
    bin_of = _bin_of(confidence, bins)
    rows = np.bincount(bin_of, minlength=bins)
    said = np.bincount(bin_of, weights=confidence, minlength=bins)
    hits = np.bincount(bin_of, weights=right.astype(float), minlength=bins)
    return [
        ReliabilityBin(
            low=index / bins,
            high=(index + 1) / bins,
            rows=int(n),
            confidence=float(said[index] / n) if n else None,
            accuracy=float(hits[index] / n) if n else None,
            interval=wilson(int(hits[index]), int(n)) if n else None,
        )
        for index, n in enumerate(rows)
    ]


def wilson(hits: int, n: int, *, z: float = 1.959963984540054) -> tuple[float, float]:
    """The Wilson score interval of a share (Wilson 1927); 95 % unless another normal quantile is given."""
    if n == 0:
        return 0.0, 1.0
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _bin_of(confidence: Floats, bins: int) -> Codes:
    """Equal bins, open below and closed above, so that full confidence falls in the last."""
    return np.clip(np.ceil(np.asarray(confidence) * bins).astype(np.int64) - 1, 0, bins - 1)
