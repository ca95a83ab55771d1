"""Which columns are ranked together, on which weeks of the reference, and how many weeks are compared as one."""

from dataclasses import dataclass

import numpy as np

from pipelines.live.drift.live import Live
from pipelines.live.drift.weeks import LEAST_WEEKS, RANK_WEEKS
from pipelines.profile.profile import Column, Profile
from pipelines.stats.histogram import Counts
from pipelines.stats.tail import SPANS

SAME_WEEKS = 0.9  # share of the inputs' weeks that a column needs to be ranked together with them
MOST_WINDOWS = 0.8  # share of the windows with rows that must have enough of them


@dataclass(frozen=True)
class Family:
    """Columns that are ranked together, and the weeks of the reference on which all of them were measured.

    Where weeks have too few rows, `span` (2 or 4) of them are taken as one, in the reference and in the live rows.
    """

    columns: tuple[Column, ...]
    weeks: tuple[int, ...]
    span: int


def families(profile: Profile, live: Live, *, max_weeks: int, min_rows: int) -> list[Family]:
    """Group columns: the inputs and all measured in nearly the same weeks; the others by the weeks that they have."""
    by_weeks: dict[tuple[int, tuple[int, ...]], list[Column]] = {}
    for column in profile.columns:
        if column.name in live.counts:
            key = _windows(column, live, max_weeks=max_weeks, min_rows=min_rows)
            by_weeks.setdefault(key, []).append(column)
    ordered = sorted(by_weeks.items(), key=lambda item: (-len(item[0][1]), item[0]))
    groups: list[Family] = []
    for (span, weeks), columns in ordered:
        if groups and span == groups[0].span:
            common = tuple(sorted(set(weeks) & set(groups[0].weeks)))
            if len(common) >= max(RANK_WEEKS, SAME_WEEKS * len(groups[0].weeks)):
                groups[0] = Family((*groups[0].columns, *columns), common, span)
                continue
        groups.append(Family(tuple(columns), weeks, span))
    return groups


def _windows(column: Column, live: Live, *, max_weeks: int, min_rows: int) -> tuple[int, tuple[int, ...]]:
    """Return how many weeks are taken as one, and which of these windows of the reference have enough rows.

    The fewest weeks of which the live rows and most windows with rows are enough. It depends on numbers of rows alone.
    """
    found = {}
    for span in SPANS:
        rows = last_windows(column.counts, span=span, most=max_weeks).sum(axis=(1, 2))
        usable = tuple(int(window) for window in np.flatnonzero(rows >= min_rows))
        if live.counts[column.name][-7 * span :].sum() >= min_rows and live.n_days >= 7 * span:
            if len(usable) >= max(LEAST_WEEKS, MOST_WINDOWS * (rows > 0).sum()):
                return span, usable
            found[span] = usable
    rest = [span for span, usable in found.items() if len(usable) >= LEAST_WEEKS] or list(found)
    if rest:
        return rest[0], found[rest[0]]
    rows = last_windows(column.counts, span=1, most=max_weeks).sum(axis=(1, 2))
    return 1, tuple(int(window) for window in np.flatnonzero(rows >= min_rows))


def last_windows(counts: Counts, *, span: int, most: int) -> Counts:
    """Return the last whole windows (K, 7 span, ...) of counts by day, at most `most`."""
    n_windows = min(len(counts) // (7 * span), most)
    return counts[len(counts) - 7 * span * n_windows :].reshape(n_windows, 7 * span, *counts.shape[1:])
