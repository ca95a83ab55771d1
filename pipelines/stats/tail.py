"""The long tail of a category: values without a bin of their own, classed by what they are in one week and in the others.

A live week has values that the reference lacks, and a reference week compared with a whole that contains it has none, so
the two would differ without any drift. Here each week of the reference is compared with the *other* weeks, as the live
week is: without drift all weeks are then exchangeable.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.stats.histogram import Bins, Counts, Kind, as_category, to_numbers

SPANS = (1, 2, 4)  # weeks that may be compared as one
FREQUENT_ROWS, FREQUENT_SHARE = 3, 0.02  # from these rows, and this share of its weeks, on a value is frequent there
IDENTIFIER_ROWS, IDENTIFIER_SHARE = 100, 0.95  # fewer rows decide nothing; new in more rows than this share


def count_tail(
    values: "pd.Series[Any]",
    *,
    bins: Bins,
    days: NDArray[np.int64],
    n_days: int,
    span: int,
    measured: NDArray[np.bool_] | None = None,
    reference: bool = False,
) -> Counts:
    """Return rows by day (days, 2) of values without a bin: those frequent in their weeks, and other new ones.

    Weeks are taken `span` at a time, counted back from the last day. New is a value that no other weeks of the
    reference have: for the rows of the reference itself (`reference`) one that occurs in its own weeks only.
    """
    nothing = np.zeros((n_days, 2), dtype=np.int64)
    keep = (days >= 0) & (days < n_days)
    if measured is not None:
        keep &= measured
    window = (days - n_days) // (7 * span) + n_days
    rows = np.bincount(window[keep], minlength=n_days)
    codes = bins.codes(values)
    rare = keep & (codes >= len(bins.categories)) & (codes < bins.n_bins - 1)
    if not rare.any():
        return nothing
    level, at = _levels(values[rare]), window[rare]
    pairs, place, size = np.unique(level * n_days + at, return_inverse=True, return_counts=True)
    frequent = is_frequent(size[place], rows=rows[at])
    new = np.bincount(pairs // n_days)[level] == 1 if reference else codes[rare] == bins.n_bins - 2
    days_of = [days[rare][frequent], days[rare][new & ~frequent]]
    return np.column_stack([np.bincount(at_days, minlength=n_days) for at_days in days_of]).astype(np.int64)


def is_frequent(size: Counts, *, rows: Counts) -> NDArray[np.bool_]:
    """Return whether a value that has `size` of the `rows` of its weeks is frequent there."""
    return np.asarray(size >= np.maximum(FREQUENT_ROWS, FREQUENT_SHARE * rows), dtype=bool)


def split_tail(counts: Counts, tail: Counts) -> Counts:
    """Return counts (days, bins + 1) whose last four bins are OTHER, FREQUENT, UNSEEN and MISSING.

    `counts` (days, bins) has the bins OTHER, UNSEEN and MISSING last, `tail` (days, 2) is what `count_tail` returns.
    """
    frequent, new = tail[:, 0], tail[:, 1]
    rest = counts[:, -3] + counts[:, -2] - frequent - new
    return np.column_stack([counts[:, :-3], rest, frequent, new, counts[:, -1]])


def _levels(values: "pd.Series[Any]") -> NDArray[np.int64]:
    """Return a number (n,) for each distinct category, none of them missing."""
    raw, uniques = pd.factorize(values)
    names, _ = pd.factorize(np.array([as_category(value) for value in uniques], dtype=object))
    return np.asarray(names[raw], dtype=np.int64)


def find_identifiers(
    frame: pd.DataFrame, *, features: Sequence[tuple[str, Kind]], days: NDArray[np.int64], n_days: int
) -> tuple[str, ...]:
    """Return the features (name, kind) that identify rows: their values differ every week by their nature.

    A category in which nearly every value occurs in one week only, and whole numbers that never repeat and rise with
    time, such as a number that is counted up.
    """
    from scipy.stats import spearmanr

    week = days // 7
    found = []
    for name, kind in features:
        known = frame[name].notna().to_numpy(dtype=bool)
        if known.sum() < IDENTIFIER_ROWS or len(np.unique(week[known])) < 2:
            continue
        if kind == "number":
            numbers = to_numbers(frame[name])[known]
            counted = len(np.unique(numbers)) == len(numbers) and bool((numbers == np.floor(numbers)).all())
            new = abs(float(spearmanr(days[known], numbers).statistic)) if counted else 0.0
        else:
            levels = _levels(frame[name][known])
            pairs = np.unique(levels * n_days + week[known])
            new = float((np.bincount(pairs // n_days)[levels] == 1).mean())
        if new > IDENTIFIER_SHARE:
            found.append(name)
    return tuple(found)
