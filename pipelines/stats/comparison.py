"""Compare classifiers on the same rows: macro-F1, accuracy and losses with bootstrap intervals over clusters of rows.

Every metric here is a function of sums over rows, so a resample of clusters needs only the sums of each cluster: one
matrix product instead of a pass over the rows per resample. Clusters are resampled as a whole because their rows are
not independent. scipy.stats.bootstrap has neither clusters nor metrics that share resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.runtime.errors import ParamsError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]  # sums (..., k) -> values (...)
MIN_DRAWS_BEYOND = 5  # with fewer draws beyond it, a quantile is too uncertain
MAX_CLUSTERS = 5000  # more independent clusters are merged, which keeps the variance and bounds the memory


@dataclass(frozen=True)
class BootstrapEstimate:
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
        """Return plain values for JSON, with null for NaN."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return both bounds, or None if the interval is undefined."""
        return (self.lower, self.upper) if np.isfinite(self.lower) and np.isfinite(self.upper) else None


def cluster_rows(records: pd.DataFrame, *, by: Sequence[str]) -> Codes:
    """Return a cluster number (n,) per row: rows with the same text, entity or UTC day, as named in `by`, share one.

    Such rows are not independent, so they are resampled together. Sharing is transitive; null or empty joins nothing.
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
    """Return per row and class whether it is predicted correctly, predicted, and gold: (n, 3 k)."""
    n = len(gold)
    sums = np.zeros((n, 3, n_labels))
    rows = np.arange(n)
    sums[rows, 0, gold] = predicted == gold
    sums[rows, 1, predicted] = 1.0
    sums[rows, 2, gold] = 1.0
    return sums.reshape(n, 3 * n_labels)


def macro_f1(sums: Floats) -> Floats:
    """Return the mean over classes with gold rows of F1 = 2 correct / (predicted + gold); NaN without any."""
    return _mean_f1(*np.split(np.asarray(sums), 3, axis=-1))


def macro_f1_score(gold: Codes, scores: Floats) -> float:
    """Return `macro_f1` of the highest of each row's scores (n, k) against gold codes (n,); NaN without rows."""
    return float(macro_f1(class_sums(gold, scores.argmax(axis=1), n_labels=scores.shape[1]).sum(axis=0)))


def share(sums: Floats) -> Floats:
    """Return the ratio of the first sum to the second (accuracy: correct rows to rows); NaN if the second is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan))


def share_sums(values: NDArray[Any]) -> Floats:
    """Return the per-row sums of a mean (n, 2): each value and a one."""
    return np.column_stack([np.asarray(values, dtype=np.float64), np.ones(len(values))])


@dataclass(frozen=True)
class Resampling:
    """Resamples of a test set's clusters, the same for every metric and model, so that all comparisons are paired."""

    clusters: Codes  # of each row, 0..n-1
    weights: Floats  # (resamples, clusters): how often each cluster was drawn
    seed: int

    @classmethod
    def of(cls, clusters: Codes, *, resamples: int, seed: int) -> "Resampling":
        """Draw as many clusters as there are, with replacement, `resamples` times."""
        codes = np.unique(clusters, return_inverse=True)[1].astype(np.int64) % MAX_CLUSTERS
        n = int(codes.max(initial=-1)) + 1
        draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=resamples) if n else np.zeros(0)
        return cls(clusters=codes, weights=draws.reshape(resamples, n).astype(np.float64), seed=seed)

    def estimate(
        self, sums: Floats, statistic: Statistic, *, confidence: float, rows: Codes | None = None
    ) -> BootstrapEstimate:
        """Return a metric with its interval; with `rows`, of those rows only (`sums` then holds only theirs)."""
        codes = self.clusters if rows is None else self.clusters[rows]
        by_cluster = np.zeros((self.weights.shape[1], sums.shape[1]))
        np.add.at(by_cluster, codes, sums)
        n_clusters = len(np.unique(codes))
        lower = upper = float("nan")
        if n_clusters > 1:
            draws = statistic(self.weights @ by_cluster)
            draws = draws[np.isfinite(draws)]  # a resample may contain no row of a small slice
            if len(draws) >= 0.9 * len(self.weights):
                lower, upper = _bounds(draws, confidence=confidence, clusters=n_clusters)
        value = float(statistic(by_cluster.sum(axis=0)))
        return BootstrapEstimate(value, lower, upper, confidence, len(sums), n_clusters, len(self.weights), self.seed)

    def paired_difference(
        self, sums: Floats, other: Floats, statistic: Statistic, *, confidence: float, rows: Codes | None = None
    ) -> BootstrapEstimate:
        """Return the metric of the first model minus that of the other, on the same rows and resamples."""
        width = sums.shape[1]

        def difference(both: Floats) -> Floats:
            return np.asarray(statistic(both[..., :width]) - statistic(both[..., width:]))

        return self.estimate(np.hstack([sums, other]), difference, confidence=confidence, rows=rows)


def expanded_tail(tail: float, *, clusters: int) -> float:
    """Return the quantile to take from the draws for a tail of this size, corrected for few clusters.

    Bootstrap intervals are too narrow by sqrt((n - 1) / n) and have normal instead of t tails; both are corrected
    (Hesterberg 2015, "What teachers should know about the bootstrap", section 3.3).
    """
    from scipy.stats import norm, t

    return float(norm.cdf(np.sqrt(clusters / (clusters - 1)) * t.ppf(tail, clusters - 1)))


def _bounds(draws: Floats, *, confidence: float, clusters: int) -> tuple[float, float]:
    """Return one-sided bounds: quantiles of the draws, or t times their spread for a tail with too few draws."""
    from scipy.stats import t

    tail = expanded_tail(1.0 - confidence, clusters=clusters)
    if tail * len(draws) >= MIN_DRAWS_BEYOND:
        lower, upper = np.quantile(draws, [tail, 1.0 - tail])
    else:
        spread = draws.std(ddof=1) * np.sqrt(clusters / (clusters - 1)) * t.ppf(confidence, clusters - 1)
        lower, upper = draws.mean() - spread, draws.mean() + spread
    return float(lower), float(upper)


def _cluster_keys(records: pd.DataFrame, name: str) -> pd.Series:
    """Return the value that rows of one cluster share, null for none."""
    if name == "day":
        return records["received_at"].dt.floor("D")
    if name == "text":
        plain = records["text"].astype("string").str.lower().str.split().str.join(" ")
        return plain.mask(plain == "")
    if name not in records:
        known = ", ".join(dict.fromkeys(["text", "entity", "day", *map(str, records.columns)]))
        raise ParamsError(f"invalid cluster_by: unknown name {name!r}: expected names from {known}")
    return records[name]


def _mean_f1(correct: Floats, predicted: Floats, gold: Floats) -> Floats:
    present = gold > 0
    f1 = np.where(present, 2.0 * correct / np.maximum(predicted + gold, 1.0), 0.0)
    count = present.sum(axis=-1)
    return np.asarray(np.where(count > 0, f1.sum(axis=-1) / np.maximum(count, 1), np.nan))
