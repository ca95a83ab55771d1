"""Signs of an upstream failure rather than input drift: no retraining repairs a broken feed."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.gates.verdict import Check
from pipelines.live.drift.live import GONE, Live
from pipelines.live.drift.params import UpstreamParams
from pipelines.profile.profile import SKETCH_LEVELS, Profile
from pipelines.stats.histogram import to_numbers
from pipelines.stats.intervals import wilson

LEVELS = np.arange(1, 10) / 10
CHANCE = 0.01  # of a rise by chance alone, over all columns and periods of one evaluation
RECENT_DAYS = 14  # a breach rests on two weeks, so a fault in either would cause one


def upstream_checks(
    profile: Profile, live: Live, *, params: UpstreamParams, min_rows: int, scored: Sequence[date]
) -> list[Check]:
    """Check that rows still arrive, in the usual volume, with every column present, filled and in its unit.

    `scored` are all days of which anything was ever predicted: a feed that has not begun is not stale, and the week in
    which it began is not as full as others.
    """
    n_rows = int(live.rows[-7:].sum())
    gone = sorted(n for n, why in live.unlogged.items() if why == GONE and profile.column(n).source == "input")
    rises = missing_rises(profile, live, min_rows=min_rows)
    factors = unit_factors(profile, live, min_rows=min_rows, max_unit_factor=params.max_unit_factor)
    worst = max(rises, key=lambda name: (rises[name], name), default=None)
    rows: dict[str, Any] = {"rows": n_rows, "min_rows": 0, "required": False}
    return [
        _stale(live, scored=scored, max_stale_days=params.max_stale_days, **rows),
        _volume(profile, live, scored=scored, least_share=params.min_rows_share, **rows),
        Check.equals(
            "columns_gone",
            len(gone),
            limit=0,
            sentence=f"columns no longer logged: {', '.join(gone)}" if gone else "every input column is logged",
            details={"columns": gone},
            **rows,
        ),
        Check.at_most(
            "missing_values",
            rises[worst] if worst else 0.0,
            limit=params.max_missing_rise,
            sentence=f"largest rise of a missing share, on a day or in the week: {worst}" if worst else "none measured",
            details={"columns": {name: rise for name, rise in sorted(rises.items()) if rise > params.max_missing_rise}},
            **rows,
        ),
        Check.equals(
            "units",
            len(factors),
            limit=0,
            sentence="; ".join(f"{name} is {factor:.3g} times what it was" for name, factor in factors.items())
            or "no number is a multiple of what it was",
            details={"columns": factors},
            **rows,
        ),
    ]


def _stale(live: Live, *, scored: Sequence[date], max_stale_days: int, **rows: Any) -> Check:
    """Check that rows arrived up to the end of the window; undecided for a feed that has not begun."""
    days = np.flatnonzero(live.rows)
    silent = live.n_days - 1 - int(days[-1]) if len(days) else live.n_days
    not_begun = nothing_yet(scored, end=live.end)
    if not_begun:
        sentence = not_begun
    elif not silent:
        sentence = "rows arrived up to the window's last day"
    elif len(days):
        sentence = f"no row since {live.first_day + timedelta(days=int(days[-1]))}"
    else:
        sentence = f"no row in {live.n_days} days"
    return Check.at_most("stale", None if not_begun else silent, limit=max_stale_days - 1, sentence=sentence, **rows)


def _volume(
    profile: Profile, live: Live, *, scored: Sequence[date], least_share: float, rows: int, **more: Any
) -> Check:
    """Check the rows of the live week over those of the reference's median week, once the feed has run for a week."""
    weeks = profile.rows[len(profile.rows) % 7 :].reshape(-1, 7).sum(axis=1)
    usual = float(np.median(weeks)) if len(weeks) else float("nan")
    begun = not nothing_yet(scored, end=live.end)
    whole = bool(scored) and scored[0] <= live.end - timedelta(days=7)
    sentence = f"{rows:,} rows in the live week, {usual:,.0f} in the reference's median week"
    return Check.at_least(
        "volume",
        rows / usual if usual and begun and whole else None,
        limit=least_share,
        rows=rows,
        sentence=sentence + ("" if whole else "; the feed has not run for a whole week"),
        **more,
    )


def nothing_yet(scored: Sequence[date], *, end: date) -> str:
    """Return why nothing can be compared, if nothing or one recent day was ever predicted; else an empty text.

    A single day more than a week ago is a feed that began and stopped.
    """
    if len(scored) > 1 or (scored and scored[0] < end - timedelta(days=7)):
        return ""
    if scored:
        return f"no predictions yet except those of {scored[0]}: nothing to compare before a second day is scored"
    return f"no predictions yet: nothing was scored before {end}, so there is nothing to compare"


def missing_rises(profile: Profile, live: Live, *, min_rows: int) -> dict[str, float]:
    """Return for each input column the largest rise of its missing share on a recent day or week with enough rows.

    A rise that may be chance counts as 0: the lower bound of the share must be above the share of the reference.
    """
    rises = {}
    evaluations = (1 + RECENT_DAYS) * max(sum(column.source == "input" for column in profile.columns), 1)
    for column in profile.columns:
        counts = live.counts.get(column.name)
        if counts is None or column.source != "input":
            continue
        total = column.counts.sum()
        before = column.counts[:, -1].sum() / total if total else 0.0
        periods = _periods(counts)
        rows = periods.sum(axis=1)
        enough = rows >= min_rows
        if enough.any():
            missing, rows = periods[enough, -1], rows[enough]
            certain = wilson(missing, rows, confidence=1 - 2 * CHANCE / evaluations)[0] > before
            rises[column.name] = round(float(np.where(certain, missing / rows - before, 0.0).max()), 6)
    return rises


def unit_factors(profile: Profile, live: Live, *, min_rows: int, max_unit_factor: float) -> dict[str, float]:
    """Return the numbers whose quantiles are all about the same multiple of the reference's, with that multiple."""
    found = {}
    for column in profile.columns:
        if column.kind != "number" or column.source != "input" or len(column.sketch) < SKETCH_LEVELS:
            continue
        if column.name not in live.counts:
            continue
        before = np.quantile(column.sketch, LEVELS, method="inverted_cdf")
        numbers = to_numbers(live.frame[live.names[column.name]])
        recent = range(max(0, live.n_days - RECENT_DAYS), live.n_days)
        periods = [live.days >= live.n_days - 7, *(live.days == day for day in recent)]
        for inside in periods:
            values = numbers[inside & np.isfinite(numbers)]
            if len(values) >= min_rows:
                factor = common_factor(before, np.quantile(values, LEVELS, method="inverted_cdf"))
                if factor is not None and (factor >= max_unit_factor or factor <= 1 / max_unit_factor):
                    found[column.name] = factor
                    break
    return found


def common_factor(before: Sequence[float] | NDArray[np.float64], after: NDArray[np.float64]) -> float | None:
    """Return the factor between two sets of quantiles if it is about the same for all of them, else None.

    Input drift stretches a number in one place and not in another; a changed unit multiplies it everywhere.
    """
    reference = np.asarray(before, dtype=np.float64)
    usable = (reference * after > 0) & (np.abs(reference) > np.abs(reference).max() * 1e-3)
    if usable.sum() < 5 or len(np.unique(reference[usable])) < 3:
        return None
    logs = np.log(after[usable] / reference[usable])
    middle = float(np.median(logs))
    spread = float(np.quantile(logs, 0.9) - np.quantile(logs, 0.1))
    return round(float(np.exp(middle)), 6) if spread <= 0.25 * abs(middle) else None


def _periods(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the live week and each of the last fourteen days as rows of counts."""
    return np.vstack([counts[-7:].sum(axis=0), counts[-RECENT_DAYS:]])
