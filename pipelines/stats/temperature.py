"""Temperature scaling: probabilities of logits, and the temperature that fits gold rows best."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
TEMPERATURE_BOUNDS = (0.05, 20.0)  # outside, classes are separable or scores are uninformative
SMALLEST_PROBABILITY = 1e-12  # the log loss of a wrong certainty is 27.6, not infinite


def apply_temperature(scores: Floats, *, temperature: float) -> Floats:
    """Return softmax(scores / temperature) (n, k) of logits or log probabilities (n, k)."""
    scaled = np.asarray(scores, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    raised = np.exp(scaled)
    return raised / raised.sum(axis=1, keepdims=True)


def fit_temperature(scores: Floats, gold: Codes) -> float:
    """Return the temperature with the lowest log loss on gold rows (Guo et al. 2017); 1.0 without rows.

    Targets are smoothed as in Platt (1999): (n + 1) / (n + k) for the gold class and 1 / (n + k) for each other class.
    A few rows that are all correct do not prove certainty and would otherwise give the smallest temperature allowed.
    """
    from scipy.optimize import minimize_scalar

    if len(gold) == 0:
        return 1.0
    bounds = tuple(np.log(TEMPERATURE_BOUNDS))
    n, k = np.shape(scores)

    def loss(log_temperature: float) -> float:
        probabilities = apply_temperature(scores, temperature=float(np.exp(log_temperature)))
        logs = np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1.0))
        return float(-(n * logs[np.arange(n), gold].sum() + logs.sum()) / (n * (n + k)))

    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))
