"""Distances between two distributions, and the trend of a series."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def cramers_v(statistic: float, *, rows: float, shape: tuple[int, int]) -> float:
    """Return Cramér's V of a contingency table of `shape` with `rows` observations and this chi-square statistic."""
    return math.sqrt(statistic / rows / (min(shape) - 1))


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Return the Jensen-Shannon distance of two rows of counts (k,): 0 to 1, base 2; NaN when one of them is empty."""
    from scipy.spatial.distance import jensenshannon

    if reference.sum() == 0 or current.sum() == 0:
        return math.nan
    return float(min(1.0, np.nan_to_num(jensenshannon(reference, current, base=2))))


def kendall_trend(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return Kendall's tau of values (n,) against their order, and the one-sided p-value of a rising trend.

    The p-value is exact when no values are tied. NaN with fewer than four values.
    """
    from scipy.stats import kendalltau

    n = len(values)
    if n < 4:
        return math.nan, math.nan
    tied = len(np.unique(values)) < n
    found = kendalltau(np.arange(n), values, alternative="greater", method="auto" if tied else "exact")
    return float(found.statistic), float(found.pvalue)
