"""Measure every column of a live week against the profile's weeks: alerts, breaches, and what the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.live.drift.alarms import OPTIMISTIC_P, Flags, alerts, find_breaches, weeks_in_a_row
from pipelines.live.drift.live import GONE, Live
from pipelines.live.drift.metrics import chi_square, kolmogorov_smirnov
from pipelines.live.drift.params import AlarmParams
from pipelines.live.drift.weeks import LEAST_WEEKS, PROVISIONAL_WEEKS, Scored, score_live, undecided_week
from pipelines.live.drift.windows import Family, families, last_windows
from pipelines.profile.profile import Column, Profile
from pipelines.stats.association import jensen_shannon, kendall_trend
from pipelines.stats.histogram import psi, stack

PERSISTENT_WINDOWS = (
    4  # in a row, or as many as eight weeks have: enough evidence together where one week has too little
)
OLD_PROFILE = "; the profile is of an earlier release: categories that it lacks count as drift, retrain to correct this"
SPAN_NAMES = {1: "week", 2: "two weeks", 4: "four weeks"}

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """The live weeks of a family against its reference; arrays are by week, the live one first, and by column."""

    end: date  # of the live week
    span: int  # weeks that are taken as one
    reference: Counts  # (columns, bins), summed over the weeks of the reference
    weeks: list[Counts]  # (columns, bins) each
    enough: NDArray[np.bool_]  # (weeks, columns): rows enough to decide
    scored: Scored  # of the live week
    alert: Flags
    breach: Flags
    persistent: Flags  # beyond all others for several weeks in a row, where one week is too little evidence
    in_a_row: NDArray[np.int64]  # weeks in a row that each column alerts
    distances: NDArray[np.float64]  # (weeks, columns): PSI against the reference, the oldest week first
    last_year: int | None  # day of the profile on which the week 52 weeks ago starts


def measure_columns(
    profile: Profile, live: Live, *, params: AlarmParams, moved_since: date | None = None
) -> dict[str, dict[str, Any]]:
    """Return what is known of each column of the profile in the live week, by name.

    `moved_since` is the first day of the drift that the profile's model was trained for, if it was trained for one.
    """
    moved = (profile.end - moved_since).days if moved_since else 0
    found: dict[str, dict[str, Any]] = {}
    for family in families(profile, live, max_weeks=params.max_weeks, min_rows=params.min_rows):
        measured = _measure(family, profile=profile, live=live, params=params, moved=moved)
        for index, column in enumerate(family.columns):
            found[column.name] = _facts(column, measured, index, live=live, params=params)
    for column in profile.columns:
        if column.name not in found:
            found[column.name] = _unmeasured(column, why=live.unlogged.get(column.name, GONE))
    return {column.name: found[column.name] for column in profile.columns}


def _measure(family: Family, *, profile: Profile, live: Live, params: AlarmParams, moved: int) -> Measured:
    """Score the live weeks of a family and find its alerts and breaches; `moved`: days of the reference that drifted."""
    span = family.span
    n_days = 7 * span
    reference, mask = stack([column.comparable(span) for column in family.columns])
    windows = last_windows(reference, span=span, most=params.max_weeks)
    by_day = windows[list(family.weeks)]
    current, _ = stack([live.comparable(column.name, span) for column in family.columns])
    moved = sum(week >= len(windows) - -(-moved // n_days) for week in family.weeks)
    turn = (live.end - profile.end).days % 7  # the same weekdays next to each other
    by_week = [current[last - n_days : last] for last in range(live.n_days, n_days - 1, -n_days)]
    scored = [
        score_live(by_day, np.roll(week, turn, axis=0), mask=mask, params=params, moved=moved)
        if week.sum(axis=(0, 2)).max() >= params.min_rows
        else undecided_week(by_day.sum(axis=1), week.sum(axis=0), mask=mask)
        for week in by_week
    ]
    enough = np.array([week.sum(axis=(0, 2)) >= params.min_rows for week in by_week])
    alert, breach, persistent, in_a_row = _flags(family, scored, enough=enough, params=params)
    total = by_day.sum(axis=(0, 1))
    weeks = [week.sum(axis=0) for week in by_week]
    return Measured(
        end=live.end,
        span=span,
        reference=total,
        weeks=weeks,
        enough=enough,
        scored=scored[0],
        alert=alert,
        breach=breach,
        persistent=persistent,
        in_a_row=in_a_row,
        distances=np.array([psi(total, week, mask=mask) for week in weeks[::-1]]),
        last_year=week_of_last_year(profile, end=live.end, span=span),
    )


def _flags(
    family: Family, scored: Sequence[Scored], *, enough: NDArray[np.bool_], params: AlarmParams
) -> tuple[Flags, Flags, Flags, NDArray[np.int64]]:
    """Return which columns alert in the live week, breach, and persist, and how many weeks in a row each one alerts.

    Where a single week is weak evidence, the week alone neither alerts nor breaches; several in a row persist.
    """
    now, before = scored[0], scored[1] if len(scored) > 1 else None
    excess, level = params.alert_excess, OPTIMISTIC_P
    alert, breach = find_breaches(
        now, before, alert_excess=excess, breach_excess=params.breach_excess, optimistic_p=level
    )
    alert &= enough[0]
    breach &= enough[0] & (enough[1] if len(enough) > 1 else False)
    # Predictions are kept only of rows not trained on, which do not represent all rows: with few weeks as well, that is
    # too little to retrain on.
    prediction = np.array([column.source == "prediction" for column in family.columns])
    weak = prediction if now.method == "optimistic" else np.full(len(prediction), now.method == "provisional")
    flags = [alerts(week, excess=excess, optimistic_p=level) & ok for week, ok in zip(scored, enough, strict=True)]
    in_a_row = weeks_in_a_row(flags)
    long = in_a_row >= min(PERSISTENT_WINDOWS, 2 * PERSISTENT_WINDOWS // family.span)
    persistent = weak & long & (np.nan_to_num(now.excess) > params.breach_excess)
    if now.method == "provisional":
        alert = persistent
    return alert, breach & ~weak, persistent, in_a_row


def _facts(column: Column, measured: Measured, index: int, *, live: Live, params: AlarmParams) -> dict[str, Any]:
    """Return what `verdict.json` states about one column of a family."""
    bins, now = len(column.labels), measured.scored
    n_days = 7 * measured.span
    week, ref = measured.weeks[0][index, :bins], measured.reference[index, :bins]
    method = now.method if measured.enough[0, index] else "undecided"
    rows, in_a_row = int(week.sum()), int(measured.in_a_row[index])
    recent = live.days >= live.n_days - n_days  # rows of another version of the domain may be without a feature
    lacking = int((recent & ~live.measured[column.name]).sum()) if column.feature is not None else 0
    alert, breach = bool(measured.alert[index]), bool(measured.breach[index])
    open_ = method == "undecided" or (method == "provisional" and not alert)
    enough = measured.enough[::-1, index]  # the oldest week first, as in `history`
    history = measured.distances[:, index]
    return {
        "kind": column.kind,
        "source": column.source,
        "outcome": "breach" if breach else "alert" if alert else "undecided" if open_ else "steady",
        "method": method,
        "why": _why(
            method, rows=rows, n_weeks=now.n_weeks, min_rows=params.min_rows, span=measured.span, lacking=lacking
        )
        + (OLD_PROFILE if column.bins.others and column.tails is None else ""),
        "window_weeks": measured.span,
        "rows": rows,
        "rows_without_it": lacking,
        "reference_rows": int(ref.sum()),
        "n_weeks": now.n_weeks,
        "psi": _number(now.psi[index]),
        "median": _number(now.median[index]),
        "excess": _number(now.excess[index]),
        "score": _number(now.score[index]),
        "rank": int(now.rank[index]) if method != "undecided" else None,
        "p": _number(now.p[index]) if method != "undecided" else None,
        "alert": alert,
        "breach": breach,
        "persistent": bool(measured.persistent[index]),
        "since": (measured.end - timedelta(days=n_days * in_a_row)).isoformat() if in_a_row else None,
        "weeks_in_a_row": in_a_row,
        "missing_share": _share(week, -1),
        "unseen_share": _share(live.counts[column.name][-n_days:].sum(axis=0), -2),
        "reference_missing_share": _share(ref, -1),
        "bins": {
            "labels": list(column.labels),
            "reference": [int(count) for count in ref],
            "live": [int(count) for count in week],
        },
        "opinions": second_opinions(column, live, n_days=n_days, week=week, reference=ref, params=params),
        "history": [_number(value) if ok else None for value, ok in zip(history, enough, strict=True)],
        "slow": _slow_drift(history[enough][-params.trend_weeks :], excess=float(now.excess[index]), params=params),
        "last_year_psi": _last_year_psi(column, week, measured=measured, min_rows=params.min_rows),
    }


def _slow_drift(distances: NDArray[np.float64], *, excess: float, params: AlarmParams) -> dict[str, Any]:
    """Return whether the distances of the live weeks, the oldest first, rise steadily and matter."""
    tau, p = kendall_trend(distances)
    drifting = bool(p < params.alpha and excess > params.alert_excess / 2 and is_slope(distances))
    return {"weeks": len(distances), "tau": _number(tau), "p": _number(p), "drifting": drifting}


def is_slope(distances: NDArray[np.float64]) -> bool:
    """Return whether a rise is spread over the weeks: no step of the root of PSI (as shifts go) is half of the rise."""
    steps = np.diff(np.sqrt(np.maximum(distances, 0)))
    return bool(len(steps) and steps.max() <= steps.sum() / 2)


def week_of_last_year(profile: Profile, *, end: date, span: int) -> int | None:
    """Return the day of the profile on which the window 52 weeks before the live one starts, or None outside it."""
    first = (end - timedelta(days=7 * span + 364) - profile.first_day).days
    return first if 0 <= first <= profile.n_days - 7 * span else None


def _last_year_psi(column: Column, week: Counts, *, measured: Measured, min_rows: int) -> float | None:
    if measured.last_year is None:
        return None
    counts, first = column.comparable(measured.span), measured.last_year
    year: Counts = counts[first : first + 7 * measured.span].sum(axis=0)
    return _number(psi(year, week)) if year.sum() >= min_rows else None


def second_opinions(
    column: Column, live: Live, *, n_days: int, week: Counts, reference: Counts, params: AlarmParams
) -> dict[str, Any]:
    """Return what commonly used tests say about the column: shown on the page, never acted on."""
    opinions: dict[str, Any] = {"jensen_shannon": _number(jensen_shannon(reference, week))}
    limits = {"alpha": params.alpha, "min_effect": params.min_effect}
    if column.kind == "number" and len(column.sketch):
        recent = pd.to_numeric(live.values(column.name, first=live.n_days - n_days, last=live.n_days), errors="coerce")
        values = recent.to_numpy(dtype=np.float64, na_value=np.nan)
        rows = int(reference[:-2].sum())
        opinion = kolmogorov_smirnov(column.sketch, values[np.isfinite(values)], rows=rows, **limits)
        opinions["kolmogorov_smirnov"] = {name: _number(value) for name, value in asdict(opinion).items()}
    else:
        opinion = chi_square(reference, week, **limits)
        opinions["chi_square"] = {name: _number(value) for name, value in asdict(opinion).items()}
    return opinions


def _unmeasured(column: Column, *, why: str) -> dict[str, Any]:
    """Return the facts of a column that was not measured."""
    return {
        "kind": column.kind,
        "source": column.source,
        "outcome": "undecided",
        "method": "undecided",
        "why": why,
        "window_weeks": 1,
        "rows": 0,
        "psi": None,
        "median": None,
        "excess": None,
        "score": None,
        "rank": None,
        "p": None,
        "alert": False,
        "breach": False,
        "persistent": False,
        "since": None,
        "weeks_in_a_row": 0,
        "reference_rows": int(column.counts.sum()),
        "n_weeks": 0,
        "missing_share": None,
        "unseen_share": None,
        "bins": None,
        "opinions": None,
        "history": [],
        "slow": {"weeks": 0, "tau": None, "p": None, "drifting": False},
        "last_year_psi": None,
    }


def _why(method: str, *, rows: int, n_weeks: int, min_rows: int, span: int, lacking: int) -> str:
    """Return how a column was compared, or why it was not."""
    together = f"; {SPAN_NAMES[span]} are compared as one, because single weeks have too few rows" if span > 1 else ""
    if lacking:
        together += f"; {lacking} rows of the week are not comparable: logged without it, or as another type"
    units = "weeks" if span == 1 else f"windows of {SPAN_NAMES[span]}"
    if method == "rank":
        return f"ranked among {n_weeks} {units}{together}"
    if method == "optimistic":
        return f"only {n_weeks} {units} of reference: compared with weeks made of single days, which is optimistic{together}"
    if rows < min_rows:
        return f"{rows} rows in the live week; at least {min_rows} are needed{together}"
    if method == "provisional":
        return (
            f"only {n_weeks} {units} of reference, at least {LEAST_WEEKS} are needed to decide on one: undecided unless it "
            f"lasts for {min(PERSISTENT_WINDOWS, 2 * PERSISTENT_WINDOWS // span)} in a row{together}"
        )
    return f"{n_weeks} {units} of reference with enough rows; at least {PROVISIONAL_WEEKS} are needed{together}"


def _share(counts: NDArray[np.int64], place: int) -> float | None:
    total = int(counts.sum())
    return round(float(counts[place]) / total, 6) if total else None


def _number(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    number = float(value)
    return round(number, 9) if np.isfinite(number) else None
