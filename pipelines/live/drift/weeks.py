"""The null distribution of drift: the live week is ranked among the reference weeks by its distance to the others."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.live.drift.params import AlarmParams
from pipelines.stats.histogram import psi

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Method = Literal["rank", "optimistic", "provisional", "undecided"]

LEAST_WEEKS = 8  # with fewer a single week decides nothing
PROVISIONAL_WEEKS = 2  # from here on weeks in a row may be evidence
RANK_WEEKS = 26  # from here on the live week's rank is a test by itself
THIN_BELOW = 0.8  # of the reference's median rows: a smaller live week is compared with weeks thinned to its size


@dataclass(frozen=True)
class Scored:
    """The live week's columns, each measured in units of that column's own median week.

    `rank` is the rank of a column's score among the largest scores of all weeks: 1 means that no other week had any
    column that differs so much from the rest. So `p = rank / (K + 1)` holds for all columns together.
    """

    method: Method
    n_weeks: int
    psi: Array
    median: Array
    score: Array
    rank: NDArray[np.int64]
    p: Array
    since_move: Array | None = None  # distance to the newest weeks of the reference, if these had drifted already

    @property
    def excess(self) -> Array:
        """PSI minus its median: the size of the change, without the noise that every week has.

        If the reference ends with weeks that had drifted already, a live week like them has not drifted again.
        """
        size = self.psi - self.median
        return size if self.since_move is None else np.minimum(size, self.since_move)

    def beyond(self, *, at_most: float) -> Mask:
        """Return the columns whose score no week of the null reached (rank), or few enough of its draws did
        (optimistic).
        """
        if self.method == "undecided":
            return np.zeros(len(self.psi), dtype=bool)
        return self.rank == 1 if self.method == "rank" else self.p <= at_most


def sum_weeks(days: NDArray[np.int64], *, most: int) -> NDArray[np.int64]:
    """Return the last whole weeks of counts by day (days, columns, bins), at most `most`, counted back from the end."""
    n_weeks = min(len(days) // 7, most)
    recent = days[len(days) - 7 * n_weeks :]
    return recent.reshape(n_weeks, 7, *days.shape[1:]).sum(axis=1)


def score_weeks(weeks: NDArray[np.int64], *, mask: Mask) -> tuple[Array, Array, Array]:
    """Return the PSI of each week against all others (weeks, columns), each column's median, and their ratio.

    A median below what a single row changes (ln 3 / rows) is raised to that: a column that never changes has a median
    near 0, and one odd row would outrank everything.
    """
    others = weeks.sum(axis=0) - weeks
    index = psi(others, weeks, mask=mask)
    median: Array = np.median(index, axis=0)
    rows = np.median(weeks.sum(axis=2), axis=0)
    return index, median, index / np.maximum(median, np.log(3) / np.maximum(rows, 1))


def rank_week(reference: NDArray[np.int64], live: NDArray[np.int64], *, mask: Mask, moved: int = 0) -> Scored:
    """Rank the live week (columns, bins) among the K weeks of the reference (K, columns, bins).

    If weeks are exchangeable, the live week ranks first with probability 1 / (K + 1), whatever the number of columns.
    The last `moved` weeks of the reference belong to the drift that the model was retrained for. They are few, so a
    week like them still ranks among the first; an alert therefore also requires a distance to them.
    """
    weeks = np.concatenate([reference, live[None]])
    index, median, scores = score_weeks(weeks, mask=mask)
    largest = scores[:-1].max(axis=1)
    rank = 1 + (largest[:, None] >= scores[-1][None, :]).sum(axis=0)
    since = since_move(reference, live, moved=moved, mask=mask) if 0 < moved <= len(reference) // 3 else None
    return Scored("rank", len(reference), index[-1], median, scores[-1], rank, rank / (len(reference) + 1), since)


def since_move(reference: NDArray[np.int64], live: NDArray[np.int64], *, moved: int, mask: Mask) -> Array:
    """Return the PSI of the live week against the last `moved` weeks, minus the median of the same for earlier weeks."""
    before = reference[:-moved]
    usual = [
        psi(before[week - moved : week].sum(axis=0), before[week], mask=mask) for week in range(moved, len(before))
    ]
    return np.asarray(psi(reference[-moved:].sum(axis=0), live, mask=mask) - np.median(usual, axis=0), dtype=np.float64)


def draw_weeks(
    reference: NDArray[np.int64], live: NDArray[np.int64], *, mask: Mask, draws: int, generator: np.random.Generator
) -> Scored:
    """Rank the live week among weeks composed of one random day per weekday: for 2 to 25 weeks, and optimistic.

    `reference` is (7 K, columns, bins) by day and `live` (7, columns, bins), both starting on the same weekday; or
    windows of another number of days. The draws keep the weekday cycle but not the correlation of the days of a week,
    so real weeks vary more than the draws.
    """
    days = np.concatenate([reference, live])
    n_days, n_weeks = len(live), len(days) // len(live)
    by_weekday = days.reshape(n_weeks, n_days, *days.shape[1:])
    total = days.sum(axis=0)
    _, median, scores = score_weeks(by_weekday.sum(axis=1), mask=mask)
    unit = np.maximum(median, np.log(3) / np.maximum(np.median(by_weekday.sum(axis=(1, 3)), axis=0), 1))
    reached = np.zeros(len(median), dtype=np.int64)
    for _ in range(draws):
        week = by_weekday[generator.integers(n_weeks, size=n_days), np.arange(n_days)].sum(axis=0)
        reached += (psi(total - week, week, mask=mask) / unit).max() >= scores[-1]
    index = psi(total - live.sum(axis=0), live.sum(axis=0), mask=mask)
    rank = 1 + reached
    method: Method = "optimistic" if n_weeks > LEAST_WEEKS else "provisional"
    return Scored(method, n_weeks - 1, index, median, scores[-1], rank, rank / (draws + 1))


def undecided_week(reference: NDArray[np.int64], live: NDArray[np.int64], *, mask: Mask) -> Scored:
    """Return the live week's PSI if weeks or rows are too few to interpret it; without weeks it has no median."""
    index = psi(reference.sum(axis=0), live, mask=mask)
    nothing = np.full(len(index), np.nan)
    return Scored("undecided", len(reference), index, nothing, nothing, np.zeros(len(index), dtype=np.int64), nothing)


def score_live(
    by_day: NDArray[np.int64],
    week: NDArray[np.int64],
    *,
    mask: NDArray[np.bool_],
    params: AlarmParams,
    moved: int = 0,
) -> Scored:
    """Score a live week (7, columns, bins) against reference weeks (K, 7, columns, bins): by rank from 26 weeks on.

    Windows of two or four weeks (14 or 28 days) are scored in the same way.
    """
    n_weeks = len(by_day)
    live = week.sum(axis=0)
    if n_weeks < PROVISIONAL_WEEKS:
        return undecided_week(by_day.sum(axis=1), live, mask=mask)
    generator = np.random.default_rng([n_weeks, int(live.sum())])
    if n_weeks < RANK_WEEKS:
        days = thin(by_day, live, generator=generator).reshape(-1, *by_day.shape[2:])
        return draw_weeks(days, week, mask=mask, draws=params.draws, generator=generator)
    return rank_week(thin(by_day.sum(axis=1), live, generator=generator), live, mask=mask, moved=moved)


def thin(weeks: NDArray[np.int64], live: NDArray[np.int64], *, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the reference weeks (K, ..., columns, bins) with no more rows than the live one, drawn without replacement.

    PSI grows as rows get fewer: a live week half the size of the others would outrank them without any drift.
    """
    rows = live.sum(axis=1)
    totals = weeks.reshape(len(weeks), -1, *weeks.shape[-2:]).sum(axis=(1, 3))
    small = rows < THIN_BELOW * np.median(totals, axis=0)
    if not small.any():
        return weeks
    thinned = weeks.copy()
    for column in np.flatnonzero(small):
        for week in range(len(weeks)):
            if totals[week, column] > rows[column]:
                counts = weeks[week][..., column, :]
                kept = generator.multivariate_hypergeometric(counts.reshape(-1), rows[column])
                thinned[week][..., column, :] = kept.reshape(counts.shape)
    return thinned
