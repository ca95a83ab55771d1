"""Compare classifiers on the same rows: macro-F1, accuracy and losses with bootstrap intervals over clusters of rows.

Every metric here is a function of sums over rows, so a resample of clusters needs only the sums of each cluster: one
matrix product instead of a pass over the rows per resample. Clusters are drawn whole: their rows are not independent.
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
LEAST_DRAWS_BEYOND = 5  # fewer draws beyond a quantile leave it to chance
MOST_CLUSTERS = 5000  # independent clusters beyond these are drawn together, which keeps the variance and the memory


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
        """Plain values for JSON, where NaN is null."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both bounds, or None where the interval is undefined."""
        return (self.lower, self.upper) if np.isfinite(self.lower) and np.isfinite(self.upper) else None


def cluster_rows(records: pd.DataFrame, *, by: Sequence[str]) -> Codes:
    """A cluster number for each row: rows sharing a text, an entity or a UTC day (as `by` says) stand together.

    Such rows are not independent, so they are drawn together. Sharing is transitive; null or empty joins nothing.
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


def macro_f1_score(gold: Codes, scores: Floats) -> float:
    """Return `macro_f1` of the highest of each row's scores (n, k) against gold codes (n,); NaN without rows."""
    return float(macro_f1(class_sums(gold, scores.argmax(axis=1), n_labels=scores.shape[1]).sum(axis=0)))


def share(sums: Floats) -> Floats:
    """The ratio of the first sum to the second (accuracy: right rows to rows); NaN where the second is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan))


def share_sums(values: NDArray[Any]) -> Floats:
    """The rows of a mean: each value beside a one."""
    return np.column_stack([np.asarray(values, dtype=np.float64), np.ones(len(values))])


@dataclass(frozen=True)
class Resampling:
    """The same redraws of a test set's clusters for every metric of every model, so that all compare in pairs."""

    clusters: Codes  # of each row, 0..n-1
    weights: Floats  # (resamples, clusters): how often each cluster was drawn
    seed: int

    @classmethod
    def of(cls, clusters: Codes, *, resamples: int, seed: int) -> "Resampling":
        """As many clusters as there are, drawn with replacement, `resamples` times."""
        codes = np.unique(clusters, return_inverse=True)[1].astype(np.int64) % MOST_CLUSTERS
        n = int(codes.max(initial=-1)) + 1
        draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=resamples) if n else np.zeros(0)
        return cls(clusters=codes, weights=draws.reshape(resamples, n).astype(np.float64), seed=seed)

    def estimate(
        self, sums: Floats, statistic: Statistic, *, confidence: float, rows: Codes | None = None
    ) -> BootstrapEstimate:
        """A metric with its interval; with `rows`, of those rows only (then `sums` holds just theirs)."""
        codes = self.clusters if rows is None else self.clusters[rows]
        by_cluster = np.zeros((self.weights.shape[1], sums.shape[1]))
        np.add.at(by_cluster, codes, sums)
        n_clusters = len(np.unique(codes))
        lower = upper = float("nan")
        if n_clusters > 1:
            draws = statistic(self.weights @ by_cluster)
            draws = draws[np.isfinite(draws)]  # a draw may miss a small slice altogether
            if len(draws) >= 0.9 * len(self.weights):
                lower, upper = _bounds(draws, confidence=confidence, clusters=n_clusters)
        value = float(statistic(by_cluster.sum(axis=0)))
        return BootstrapEstimate(value, lower, upper, confidence, len(sums), n_clusters, len(self.weights), self.seed)

    def paired_difference(
        self, sums: Floats, other: Floats, statistic: Statistic, *, confidence: float, rows: Codes | None = None
    ) -> BootstrapEstimate:
        """First model minus other on the same rows, both taken from the same resamples."""
        width = sums.shape[1]

        def difference(both: Floats) -> Floats:
            return np.asarray(statistic(both[..., :width]) - statistic(both[..., width:]))

        return self.estimate(np.hstack([sums, other]), difference, confidence=confidence, rows=rows)


def expanded_tail(tail: float, *, clusters: int) -> float:
    """The share to cut from the draws for a tail of this size: wider with few clusters (Hesterberg 2015, section 3.3).

    Bootstrap draws are too narrow by sqrt((n - 1) / n) and have normal tails where t is right; both are mended here.
    """
    from scipy.stats import norm, t

    return float(norm.cdf(np.sqrt(clusters / (clusters - 1)) * t.ppf(tail, clusters - 1)))


def _bounds(draws: Floats, *, confidence: float, clusters: int) -> tuple[float, float]:
    """One-sided bounds: quantiles of the draws, or, for a tail that so few draws do not show, t times their spread."""
    from scipy.stats import t

    tail = expanded_tail(1.0 - confidence, clusters=clusters)
    if tail * len(draws) >= LEAST_DRAWS_BEYOND:
        lower, upper = np.quantile(draws, [tail, 1.0 - tail])
    else:
        spread = draws.std(ddof=1) * np.sqrt(clusters / (clusters - 1)) * t.ppf(confidence, clusters - 1)
        lower, upper = draws.mean() - spread, draws.mean() + spread
    return float(lower), float(upper)


def _cluster_keys(records: pd.DataFrame, name: str) -> pd.Series:
    """What rows of one cluster share, null where nothing."""
    if name == "day":
        return records["received_at"].dt.floor("D")
    if name == "text":
        plain = records["text"].astype("string").str.lower().str.split().str.join(" ")
        return plain.mask(plain == "")
    if name not in records:
        known = ", ".join(["text", "entity", "day", *map(str, records.columns)])
        raise ParamsError(f"cluster_by names {name!r}; rows can be drawn together by: {known}")
    return records[name]


def _mean_f1(right: Floats, said: Floats, true: Floats) -> Floats:
    present = true > 0
    f1 = np.where(present, 2.0 * right / np.maximum(said + true, 1.0), 0.0)
    count = present.sum(axis=-1)
    return np.asarray(np.where(count > 0, f1.sum(axis=-1) / np.maximum(count, 1), np.nan))
