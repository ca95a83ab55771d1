"""Second opinions on one column: what other people would have asked, each with the size of the effect it demands."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.stats.histogram import psi

Counts = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Opinion:
    """One statistic, from which value on it is called significant, its effect, and whether it says drift."""

    statistic: float
    critical: float
    effect: float
    drifted: bool


OpinionOf = Callable[..., Opinion]
NUMBER_METRICS: dict[str, OpinionOf] = {}
CATEGORY_METRICS: dict[str, OpinionOf] = {}


def number_metric(function: OpinionOf) -> OpinionOf:
    """Register an opinion on two sets of numbers under its function's name."""
    NUMBER_METRICS[function.__name__] = function
    return function


def category_metric(function: OpinionOf) -> OpinionOf:
    """Register an opinion on two rows of counts under its function's name."""
    CATEGORY_METRICS[function.__name__] = function
    return function


@number_metric
def kolmogorov_smirnov(reference: Values, current: Values, *, rows: int, alpha: float, least_effect: float) -> Opinion:
    """D = sup |F - G| against sqrt(-ln(a / 2) / 2) sqrt((n + m) / nm), and D itself large enough to matter.

    `reference` may be a sketch (its quantiles): `rows` is how many values it stands for. The second demand is there
    because with 100,000 rows on either side D = 0.0073 is already significant.
    """
    n, m = rows, len(current)
    if n == 0 or m == 0 or len(reference) == 0:
        return Opinion(math.nan, math.nan, math.nan, drifted=False)
    points = np.union1d(reference, current)
    below = np.searchsorted(np.sort(reference), points, side="right") / len(reference)
    distance = float(np.abs(below - np.searchsorted(np.sort(current), points, side="right") / m).max())
    critical = math.sqrt(-math.log(alpha / 2) / 2) * math.sqrt((n + m) / (n * m))
    return Opinion(distance, critical, distance, drifted=distance > critical and distance >= least_effect)


@category_metric
def chi_square(reference: Counts, current: Counts, *, alpha: float, least_effect: float) -> Opinion:
    """Pearson's test of two rows of counts, bins with an expected count below 5 pooled; the effect is Cramer's V."""
    from scipy.stats import chi2

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
    expected = observed.sum(axis=1, keepdims=True) * observed.sum(axis=0) / n
    statistic = float(((observed - expected) ** 2 / expected).sum())
    critical = float(chi2.ppf(1 - alpha, df=observed.shape[1] - 1))
    effect = math.sqrt(statistic / n)  # Cramer's V: one of the two dimensions has two rows
    return Opinion(statistic, critical, effect, drifted=statistic > critical and effect >= least_effect)


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance: the square root of the divergence in base 2, between 0 and 1."""
    if reference.sum() == 0 or current.sum() == 0:
        return math.nan
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0.0).sum()
        right = np.where(q > 0, q * np.log2(q / middle), 0.0).sum()
    return float(math.sqrt(max(0.0, min(1.0, (left + right) / 2))))


def kendall_trend(values: Values) -> tuple[float, float]:
    """Kendall's tau of values against their order, and the chance of one as high without a trend (exact, no ties)."""
    n = len(values)
    if n < 4:
        return math.nan, math.nan
    rises = sum(int(values[later] > values[sooner]) for sooner in range(n) for later in range(sooner + 1, n))
    pairs = n * (n - 1) // 2
    ways = np.ones(1)  # permutations of k by their number of rises: Mahonian numbers
    for size in range(2, n + 1):
        ways = np.convolve(ways, np.ones(size))
    return 2 * rises / pairs - 1, float(ways[rises:].sum() / ways.sum())


__all__ = ["Opinion", "chi_square", "jensen_shannon", "kendall_trend", "kolmogorov_smirnov", "psi"]
