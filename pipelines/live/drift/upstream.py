"""Is it the world that moved, or the pipe that broke? Signs of a broken feed, which no retraining mends."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from pipelines.gates.verdict import Check
from pipelines.live.drift.live import Live
from pipelines.profile.profile import SKETCH_LEVELS, Profile
from pipelines.stats.histogram import to_numbers
from pipelines.stats.intervals import wilson

LEVELS = np.arange(1, 10) / 10
CHANCE = 0.01  # of a rise by chance alone, over all columns and stretches of one look
LOOKED_AT = 14  # days: a breach rests on two weeks, so a fault in either would make one


def upstream_checks(
    profile: Profile,
    live: Live,
    *,
    stale_days: int,
    least_rows_share: float,
    missing_rise: float,
    unit_factor: float,
    min_rows: int,
    scored: Sequence[date],
) -> list[Check]:
    """One check each: rows still come, as many as ever, every column is there and filled, every number in its unit.

    `scored` are all days of which anything was ever predicted: a feed that has not begun is not stale, and the week in
    which it began is not as full as others.
    """
    n_rows = int(live.rows[-7:].sum())
    weeks = profile.rows[len(profile.rows) % 7 :].reshape(-1, 7).sum(axis=1)
    usual = float(np.median(weeks)) if len(weeks) else float("nan")
    days = np.flatnonzero(live.rows)
    silent = live.n_days - 1 - int(days[-1]) if len(days) else live.n_days
    last = live.first_day + timedelta(days=int(days[-1])) if len(days) else None
    rises = missing_rises(profile, live, min_rows=min_rows)
    factors = unit_factors(profile, live, min_rows=min_rows, unit_factor=unit_factor)
    gone = sorted(name for name in live.unlogged if profile.column(name).source == "input")
    begun, whole = not nothing_yet(scored, end=live.end), bool(scored) and scored[0] <= live.end - timedelta(days=7)
    worst = max(rises, key=lambda name: (rises[name], name), default=None)
    return [
        Check.at_most(
            "stale",
            silent if begun else None,
            limit=stale_days - 1,
            rows=n_rows,
            min_rows=0,
            required=False,
            sentence=nothing_yet(scored, end=live.end)
            if not begun
            else "rows came up to the window's last day"
            if not silent
            else f"no row since {last}"
            if last
            else f"no row in {live.n_days} days",
        ),
        Check.at_least(
            "volume",
            n_rows / usual if usual and begun and whole else None,
            limit=least_rows_share,
            rows=n_rows,
            min_rows=0,
            required=False,
            sentence=f"{n_rows:,} rows in the live week, {usual:,.0f} in the reference's median week"
            + ("" if whole else "; the feed has not run for a whole week"),
        ),
        Check.equals(
            "columns_gone",
            len(gone),
            limit=0,
            rows=n_rows,
            min_rows=0,
            required=False,
            sentence=f"columns no longer logged: {', '.join(gone)}" if gone else "every input column is logged",
            details={"columns": gone},
        ),
        Check.at_most(
            "missing_values",
            rises[worst] if worst else 0.0,
            limit=missing_rise,
            rows=n_rows,
            min_rows=0,
            required=False,
            sentence=f"largest rise of a missing share, on a day or in the week: {worst}" if worst else "none measured",
            details={"columns": {name: rise for name, rise in sorted(rises.items()) if rise > missing_rise}},
        ),
        Check.equals(
            "units",
            len(factors),
            limit=0,
            rows=n_rows,
            min_rows=0,
            required=False,
            sentence="; ".join(f"{name} is {factor:.3g} times what it was" for name, factor in factors.items())
            or "no number is a multiple of what it was",
            details={"columns": factors},
        ),
    ]


def nothing_yet(scored: Sequence[date], *, end: date) -> str:
    """Why there is nothing to compare, where nothing or one recent day was ever predicted; else an empty text.

    One day that lies more than a week back is a feed that began and stopped.
    """
    if len(scored) > 1 or (scored and scored[0] < end - timedelta(days=7)):
        return ""
    if scored:
        return f"no predictions yet but those of {scored[0]}: nothing to compare before a second day is scored"
    return f"no predictions yet: nothing was scored before {end}, so there is nothing to compare"


def missing_rises(profile: Profile, live: Live, *, min_rows: int) -> dict[str, float]:
    """For each input column, the largest rise of its missing share on a recent day or week with rows enough.

    A rise that so few rows show by chance is none: the share's lower bound has to be above that of the reference.
    """
    rises = {}
    looks = (1 + LOOKED_AT) * max(sum(column.source == "input" for column in profile.columns), 1)
    for column in profile.columns:
        counts = live.counts.get(column.name)
        if counts is None or column.source != "input":
            continue
        total = column.counts.sum()
        before = column.counts[:, -1].sum() / total if total else 0.0
        stretches = _stretches(counts)
        rows = stretches.sum(axis=1)
        enough = rows >= min_rows
        if enough.any():
            missing, rows = stretches[enough, -1], rows[enough]
            sure = wilson(missing, rows, confidence=1 - 2 * CHANCE / looks)[0] > before
            rises[column.name] = round(float(np.where(sure, missing / rows - before, 0.0).max()), 6)
    return rises


def unit_factors(profile: Profile, live: Live, *, min_rows: int, unit_factor: float) -> dict[str, float]:
    """The numbers whose quantiles all are about the same multiple of the reference's, with that multiple."""
    found = {}
    for column in profile.columns:
        if column.kind != "number" or column.source != "input" or len(column.sketch) < SKETCH_LEVELS:
            continue
        if column.name not in live.counts:
            continue
        before = np.quantile(column.sketch, LEVELS, method="inverted_cdf")
        numbers = to_numbers(live.frame[column.name])
        recent = range(max(0, live.n_days - LOOKED_AT), live.n_days)
        stretches = [live.days >= live.n_days - 7, *(live.days == day for day in recent)]
        for inside in stretches:
            values = numbers[inside & np.isfinite(numbers)]
            if len(values) >= min_rows:
                factor = common_factor(before, np.quantile(values, LEVELS, method="inverted_cdf"))
                if factor is not None and (factor >= unit_factor or factor <= 1 / unit_factor):
                    found[column.name] = factor
                    break
    return found


def common_factor(before: Sequence[float] | NDArray[np.float64], after: NDArray[np.float64]) -> float | None:
    """The factor between two sets of quantiles where it is about one and the same; None where it is not.

    A number that the world moved is stretched in one place and not in another; one whose unit changed is multiplied.
    """
    reference = np.asarray(before, dtype=np.float64)
    usable = (reference * after > 0) & (np.abs(reference) > np.abs(reference).max() * 1e-3)
    if usable.sum() < 5 or len(np.unique(reference[usable])) < 3:
        return None
    logs = np.log(after[usable] / reference[usable])
    middle = float(np.median(logs))
    spread = float(np.quantile(logs, 0.9) - np.quantile(logs, 0.1))
    return round(float(np.exp(middle)), 6) if spread <= 0.25 * abs(middle) else None


def _stretches(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The live week and each of the last fourteen days, as rows of counts."""
    return np.vstack([counts[-7:].sum(axis=0), counts[-LOOKED_AT:]])
