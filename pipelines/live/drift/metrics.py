"""Second opinions on one column: commonly used tests, each with the effect size that it demands."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.stats.association import cramers_v

Counts = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Opinion:
    """A statistic, its critical value, its effect size, and whether both show drift."""

    statistic: float
    critical: float
    effect: float
    drifted: bool


OpinionOf = Callable[..., Opinion]
NUMBER_METRICS: dict[str, OpinionOf] = {}
CATEGORY_METRICS: dict[str, OpinionOf] = {}


def number_metric(function: OpinionOf) -> OpinionOf:
    """Register an opinion on two sets of numbers by the name of its function."""
    NUMBER_METRICS[function.__name__] = function
    return function


def category_metric(function: OpinionOf) -> OpinionOf:
    """Register an opinion on two rows of counts by the name of its function."""
    CATEGORY_METRICS[function.__name__] = function
    return function


@number_metric
def kolmogorov_smirnov(reference: Values, current: Values, *, rows: int, alpha: float, min_effect: float) -> Opinion:
    """Test D = sup |F - G| against sqrt(-ln(a / 2) / 2) sqrt((n + m) / nm), and D against `least_effect`.

    `reference` may be a sketch (quantiles) of `rows` values. The second condition is needed because with 100,000 rows
    on either side D = 0.0073 is already significant.
    """
    n, m = rows, len(current)
    if n == 0 or m == 0 or len(reference) == 0:
        return Opinion(math.nan, math.nan, math.nan, drifted=False)
    points = np.union1d(reference, current)
    below = np.searchsorted(np.sort(reference), points, side="right") / len(reference)
    distance = float(np.abs(below - np.searchsorted(np.sort(current), points, side="right") / m).max())
    critical = math.sqrt(-math.log(alpha / 2) / 2) * math.sqrt((n + m) / (n * m))
    return Opinion(distance, critical, distance, drifted=distance > critical and distance >= min_effect)


@category_metric
def chi_square(reference: Counts, current: Counts, *, alpha: float, min_effect: float) -> Opinion:
    """Return Pearson's test of two rows of counts, with bins of an expected count below 5 pooled; effect: Cramér's V."""
    from scipy.stats import chi2, chi2_contingency

    table = np.array([reference, current], dtype=np.float64)
    n = table.sum()
    if n == 0 or (table.sum(axis=1) == 0).any():
        return Opinion(math.nan, math.nan, math.nan, drifted=False)
    order = np.argsort(table.sum(axis=0), kind="stable")
    least = 5 * n / table.sum(axis=1).min()  # column total from which both expected counts are 5
    pooled: list[NDArray[np.float64]] = []
    rest = np.zeros(2)
    for index in order:
        if table[:, index].sum() + rest.sum() * (rest.sum() < least) < least:
            rest = rest + table[:, index]
        elif rest.sum() and rest.sum() < least:
            pooled.append(rest + table[:, index])
            rest = np.zeros(2)
        else:
            pooled.append(table[:, index])
    if rest.sum():
        pooled = [rest] if not pooled else [pooled[0] + rest, *pooled[1:]]
    if len(pooled) < 2:
        return Opinion(0.0, math.nan, 0.0, drifted=False)
    observed = np.array(pooled).T
    statistic = float(chi2_contingency(observed, correction=False).statistic)
    critical = float(chi2.ppf(1 - alpha, df=observed.shape[1] - 1))
    effect = cramers_v(statistic, rows=n, shape=(2, observed.shape[1]))
    return Opinion(statistic, critical, effect, drifted=statistic > critical and effect >= min_effect)
