"""Compare classifiers on the same rows: macro-F1, accuracy and losses with bootstrap intervals over clusters of rows.

Every metric here is a function of sums over rows, so a resample of clusters needs only the sums of each cluster: one matrix
product instead of one pass over the rows per resample.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]  # sums (..., k) -> values (...)
CELLS_AT_ONCE = 4_000_000  # resamples times clusters held in memory: 32 MB


@dataclass(frozen=True)
class Estimate:
    """A metric with its interval: `lower` and `upper` are one-sided bounds, each at `confidence`."""

    value: float
    lower: float
    upper: float
    confidence: float
    rows: int
    clusters: int
    resamples: int
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, where NaN is null."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both bounds, or None where the interval is undefined."""
        return (self.lower, self.upper) if np.isfinite(self.lower) and np.isfinite(self.upper) else None


def cluster_rows(records: pd.DataFrame, *, by: Sequence[str]) -> Codes:
    """A cluster number for each row: rows sharing a text, an entity or a UTC day (as `by` says) stand together.

    Such rows are not independent, so they are drawn together. Sharing is transitive; a null or empty value joins nothing.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(records)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    links: list[tuple[Codes, Codes]] = []
    for name in by:
        codes = pd.factorize(_cluster_keys(records, name), use_na_sentinel=True)[0].astype(np.int64)
        rows = np.flatnonzero(codes >= 0)
        first = np.full(codes.max(initial=-1) + 1, n, dtype=np.int64)
        np.minimum.at(first, codes[rows], rows)
        links.append((rows, first[codes[rows]]))
    if not links:
        return np.arange(n, dtype=np.int64)
    starts, ends = (np.concatenate(side) for side in zip(*links, strict=True))
    graph = coo_array((np.ones(len(starts), dtype=np.int8), (starts, ends)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def class_sums(gold: Codes, predicted: Codes, *, n_labels: int) -> Floats:
    """For each row and class: is it right about it, did it say it, is it the truth; (rows, 3 * labels)."""
    n = len(gold)
    sums = np.zeros((n, 3, n_labels))
    rows = np.arange(n)
    sums[rows, 0, gold] = predicted == gold
    sums[rows, 1, predicted] = 1.0
    sums[rows, 2, gold] = 1.0
    return sums.reshape(n, 3 * n_labels)


def macro_f1(sums: Floats) -> Floats:
    """The mean over classes with at least one gold row of F1 = 2 right / (said + true); NaN without any."""
    return _mean_f1(*np.split(np.asarray(sums), 3, axis=-1))


def share(sums: Floats) -> Floats:
    """The ratio of the first sum to the second (accuracy: right rows to rows); NaN where the second is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan))


def share_sums(values: NDArray[Any]) -> Floats:
    """The rows of a mean: each value beside a one."""
    return np.column_stack([np.asarray(values, dtype=np.float64), np.ones(len(values))])


def estimate(
    sums: Floats, statistic: Statistic, *, clusters: Codes, confidence: float, resamples: int, seed: int
) -> Estimate:
    """A metric of one model and its bootstrap interval over clusters."""
    by_cluster = _sum_by_cluster(sums, clusters)
    draws = _draw(by_cluster, statistic, resamples=resamples, seed=seed)
    return _estimate(
        float(statistic(by_cluster.sum(axis=0))), draws, by_cluster, len(sums), confidence, resamples, seed
    )


def paired_difference(
    sums: Floats, other: Floats, statistic: Statistic, *, clusters: Codes, confidence: float, resamples: int, seed: int
) -> Estimate:
    """First model minus other on the same rows, both taken from the same resamples of clusters."""
    width = sums.shape[1]

    def difference(both: Floats) -> Floats:
        return statistic(both[..., :width]) - statistic(both[..., width:])

    return estimate(
        np.hstack([sums, other]), difference, clusters=clusters, confidence=confidence, resamples=resamples, seed=seed
    )


def expanded_tail(tail: float, *, clusters: int) -> float:
    """The share to cut from the draws for a tail of this size: wider with few clusters (Hesterberg 2015, section 3.3).

    Bootstrap draws are too narrow by sqrt((n - 1) / n) and have normal tails where t is right; both are mended here.
    """
    from scipy.stats import norm, t

    return float(norm.cdf(np.sqrt(clusters / (clusters - 1)) * t.ppf(tail, clusters - 1)))


def _cluster_keys(records: pd.DataFrame, name: str) -> pd.Series:
    """What rows of one cluster share, null where nothing."""
    if name == "day":
        return records["received_at"].dt.floor("D")
    if name == "text":
        plain = records["text"].astype("string").str.lower().str.split().str.join(" ")
        return plain.mask(plain == "")
    return records[name]


def _mean_f1(right: Floats, said: Floats, true: Floats) -> Floats:
    present = true > 0
    f1 = np.where(present, 2.0 * right / np.maximum(said + true, 1.0), 0.0)
    count = present.sum(axis=-1)
    return np.asarray(np.where(count > 0, f1.sum(axis=-1) / np.maximum(count, 1), np.nan))


def _sum_by_cluster(sums: Floats, clusters: Codes) -> Floats:
    codes, n_clusters = np.unique(clusters, return_inverse=True)[1], len(np.unique(clusters))
    total = np.zeros((n_clusters, sums.shape[1]))
    np.add.at(total, codes, sums)
    return total


def _draw(by_cluster: Floats, statistic: Statistic, *, resamples: int, seed: int) -> Floats:
    """The statistic of every resample: as many clusters as there are, drawn with replacement."""
    n = len(by_cluster)
    if n < 2:
        return np.full(resamples, np.nan)
    generator = np.random.default_rng(seed)
    even = np.full(n, 1.0 / n)
    at_once = max(1, CELLS_AT_ONCE // n)
    parts = [
        statistic(generator.multinomial(n, even, size=min(at_once, resamples - done)).astype(np.float64) @ by_cluster)
        for done in range(0, resamples, at_once)
    ]
    return np.concatenate(parts)


def _estimate(
    value: float, draws: Floats, by_cluster: Floats, rows: int, confidence: float, resamples: int, seed: int
) -> Estimate:
    lower = upper = float("nan")
    if len(by_cluster) > 1 and np.isfinite(draws).all():
        tail = expanded_tail(1.0 - confidence, clusters=len(by_cluster))
        lower, upper = (float(bound) for bound in np.quantile(draws, [tail, 1.0 - tail]))
    return Estimate(value, lower, upper, confidence, rows, len(by_cluster), resamples, seed)
