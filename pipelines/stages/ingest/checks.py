"""The gate of ingest: rejected rows, freshness, volume, columns; against the window's end and its usual week."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

from pipelines.gates.verdict import Check
from pipelines.sources.accounting import BYTE_ORDER_MARK, SHOWN, Ledger
from pipelines.stages.ingest.groups import periods_of
from pipelines.stages.ingest.weekly import Profile, Week
from pipelines.stats.intervals import wilson

Z = 1.959964  # two-sided 95 %


@dataclass(frozen=True)
class LastGood:
    """What was measured when a person last called the input good; empty before the first time."""

    rows_per_week: float | None
    columns: tuple[str, ...]
    days: Mapping[str, str]  # day -> digest of its records


def read_last_good(content: Mapping[str, Any]) -> LastGood:
    """Return the content of the reference file; `{}` before the first good run."""
    return LastGood(
        rows_per_week=content.get("rows_per_week"),
        columns=tuple(content.get("columns", ())),
        days=dict(content.get("days", {})),
    )


def check_accounting(ledger: Ledger, *, outcomes: Mapping[str, int], lost: float, long: float) -> list[Check]:
    """Check that everything that went in came out: lines and rows of each file, and each row's outcome.

    `outcomes` holds the rows read and what became of them; `lost` and `long` are limits.
    """
    read, lines = outcomes["read"], ledger.sum("stated")
    became = sum(n for name, n in outcomes.items() if name != "read")
    handed = ledger.sum("rows") + ledger.sum("unreadable")
    unexplained = ledger.unexplained()
    if not read == became == handed:
        unexplained.append(f"{handed} rows were handed over, {read} were read, {became} have an outcome")
    characters, suspicious = ledger.characters(), ledger.sum("suspicious_lines")
    open_ = "" if unexplained or not ledger.not_counted else f"the source did not count its rows: {ledger.not_counted}"
    lost_n = sum(n for kind, n in characters.items() if kind != BYTE_ORDER_MARK)
    named = ", ".join(f"{n} {kind}" for kind, n in characters.items()) or "none"
    return [
        Check.equals(
            "conservation", None if open_ else len(unexplained), limit=0, rows=read, min_rows=0, required=not open_,
            sentence=unexplained[0] if unexplained else open_ or f"all {lines} lines and rows that went in are accounted for",
            details={"unexplained": unexplained[:SHOWN]},
        ),
        Check.at_most(
            "lost_characters", lost_n / max(read, 1), limit=lost, rows=read, min_rows=0, required=True,
            sentence=f"characters removed or replaced: {named}{'; is ingest.files.encoding right?' if lost_n else ''}",
        ),
        Check.at_most(
            "long_rows", suspicious / max(lines, 1), limit=long, rows=read, min_rows=0, required=True,
            sentence=f"{suspicious} of {lines} lines are in very long rows of files whose rows span one line",
        ),
    ]  # fmt: skip


def check_rejected(rejected: int, *, joined: int, rows: int, limit: float) -> Check:
    """Check the share of unusable rows among the rows of the window and those whose day is unknown.

    `joined` rows came as parts of rejected rows: their line ends are lost.
    """
    rejected, rows = rejected + joined, rows + joined
    value = rejected / rows if rows else None
    return Check.at_most(
        "rejected_share",
        value,
        limit=limit,
        rows=rows,
        min_rows=1,
        required=True,
        sentence=f"{rejected} of {rows} rows were rejected; quarantine.parquet has each with its reason"
        + (f", {joined} of them within others, since their line ends are lost" if joined else ""),
    )


def check_reused(reused: int, *, rows: int, limit: float) -> Check:
    """Check the share of rows that share only their id with the record that replaced them: ids that are used again."""
    return Check.at_most(
        "reused_ids",
        reused / rows if rows else None,
        limit=limit,
        rows=rows,
        min_rows=1,
        required=False,
        sentence=f"{reused} of {rows} rows have the id of a later row with another time and another text",
    )


def check_rows(rows: int, *, limit: int, start: date, end: date, outside: int) -> Check:
    """Check that there are enough rows."""
    elsewhere = f"; {outside} more are dated outside it" if outside else ""
    return Check.at_least(
        "rows",
        rows,
        limit=limit,
        rows=rows,
        min_rows=0,
        required=True,
        sentence=f"{rows} rows were accepted in {start}..{end} (without the last day){elsewhere}",
    )


def check_freshness(days: Mapping[date, int], *, end: date, limit: int) -> Check:
    """Check the days without a row at the end of the window."""
    last = max(days, default=None)
    stale = None if last is None else (end - timedelta(days=1) - last).days
    return Check.at_most(
        "stale_days",
        stale,
        limit=limit,
        rows=sum(days.values()),
        min_rows=1,
        required=True,
        sentence="no day has a row"
        if last is None
        else f"the last day with rows is {last}, the window ends before {end}",
    )


def check_volume(weeks: Mapping[int, Week], *, limit: tuple[float, float], min_weeks: int, whole: int) -> Check:
    """Check the rows of the last week over the median of the whole weeks before it (score interval of a Poisson
    count).
    """
    earlier = [weeks[week].rows if week in weeks else 0 for week in range(-whole + 1, 0)]
    usual = median(earlier) if len(earlier) >= min_weeks else 0
    rows = weeks[0].rows if 0 in weeks else 0
    value = rows / usual if usual else None
    half = Z * math.sqrt(rows + Z * Z / 4)
    bounds = None if value is None else ((rows + Z * Z / 2 - half) / usual, (rows + Z * Z / 2 + half) / usual)
    return Check.between(
        "volume",
        value,
        interval=bounds,
        limit=limit,
        rows=len(earlier),
        min_rows=min_weeks,
        required=False,
        sentence=f"the last week has {rows} rows, the usual one of {len(earlier)} before it {usual:g}",
    )


def check_nulls(weeks: Mapping[int, Week], *, limit: float, min_week_rows: int, min_weeks: int) -> Check:
    """Check the largest rise of one column's share of nulls in one week over its usual week.

    Weeks with too few rows are taken together until they have enough.
    """
    names = sorted(next(iter(weeks.values())).nulls) if weeks else []
    found = periods_of(weeks, names=names, min_rows=min_week_rows, min_weeks=1)[::-1]
    periods = [item for item in found if item.rows >= min_week_rows]
    worst, place, bounds = 0.0, "no column", (0.0, 0.0)
    for name in names if periods else ():
        usual = median(1 - item.known[name] / item.rows for item in periods)
        for item in periods:
            nulls = item.rows - item.known[name]
            share = nulls / item.rows
            if share - usual > worst:
                low, high = wilson(nulls, item.rows)
                worst, bounds = share - usual, (low - usual, high - usual)
                place = f"{name} is null in {share:.0%} of {item} (0 is the last), usually in {usual:.0%}"
    decided = len(periods) >= min_weeks
    return Check.at_most(
        "null_rise",
        worst if decided else None,
        interval=bounds if decided else None,
        limit=limit,
        rows=sum(item.rows for item in periods),
        min_rows=min_week_rows,
        required=False,
        sentence=f"{place} is null more often than usual" if place == "no column" else place,
    )


def check_scale(weeks: Mapping[int, Week], *, limit: float, min_week_rows: int, min_weeks: int) -> Check:
    """Check the largest factor between a number's median in one week and its usual week: a unit that changed."""
    counted = {number: week for number, week in weeks.items() if week.rows >= min_week_rows}
    worst, place = 1.0, "no number changed its scale"
    for name in next(iter(counted.values())).medians if counted else ():
        medians = {
            number: week.medians[name]
            for number, week in sorted(counted.items())
            if week.rows - week.nulls[name] >= min_week_rows and week.medians[name] > 0
        }
        usual = median(medians.values()) if len(medians) >= min_weeks else 0.0
        for number, value in medians.items():
            factor = max(value / usual, usual / value) if usual else 1.0
            if factor > worst:
                worst = factor
                place = f"the median of {name} is {value:g} in week {number} (0 is the last), usually {usual:g}"
    return Check.at_most(
        "scale",
        worst if len(counted) >= min_weeks else None,
        limit=limit,
        rows=sum(week.rows for week in counted.values()),
        min_rows=min_week_rows,
        required=False,
        sentence=place,
    )


def check_columns(nulls: Mapping[str, float], *, rows: int, last_good: LastGood) -> Check:
    """Check for columns that hold no value, or that the last good run had and this one has not."""
    empty = sorted(name for name, share in nulls.items() if share == 1.0)
    gone = sorted(set(last_good.columns) - set(nulls))
    named = ", ".join([*(f"{name} (no value)" for name in empty), *(f"{name} (gone)" for name in gone)])
    return Check.equals(
        "lost_columns",
        len(empty) + len(gone) if rows else None,
        limit=0,
        rows=rows,
        min_rows=1,
        required=True,
        sentence=f"columns without a value: {named or 'none'}",
    )


def check_gold(gold: Mapping[str, int], *, min_rows: int) -> Check:
    """Check that gold labels hold two classes or more; with fewer nothing can be measured."""
    named = ", ".join(f"{name} {count}" for name, count in sorted(gold.items()))
    return Check.at_least(
        "gold_classes",
        len(gold) if gold else None,
        limit=2,
        rows=sum(gold.values()),
        min_rows=min_rows,
        required=False,
        sentence=f"classes with gold labels: {named or 'none; no gold label has arrived by the end of the window'}",
    )


def checks_against_last_good(
    profile: Profile, *, last_good: LastGood, volume: tuple[float, float], max_revised_share: float
) -> list[Check]:
    """Check the usual week against that of the last good run, and the share of its days that have changed since."""
    checks = []
    if last_good.rows_per_week:
        usual = rows_per_week(profile)
        checks.append(
            Check.between(
                "volume_since_last_good",
                None if usual is None else usual / last_good.rows_per_week,
                limit=volume,
                rows=profile.rows,
                min_rows=1,
                required=False,
                sentence=f"the usual week has {usual or 0:g} rows, it had {last_good.rows_per_week:g}",
            )
        )
    now = {day.isoformat(): digest for day, digest in profile.day_digests().items()}
    both = sorted(now.keys() & last_good.days.keys())
    if both:
        revised = [day for day in both if not now[day].startswith(last_good.days[day])]
        checks.append(
            Check.at_most(
                "revised_share",
                len(revised) / len(both),
                limit=max_revised_share,
                rows=len(both),
                min_rows=1,
                required=False,
                sentence=f"the source has changed {len(revised)} of {len(both)} days since the last good run",
                details={"days": revised[:20]},
            )
        )
    return checks


def rows_per_week(profile: Profile) -> float | None:
    """Return the rows of the usual (median) week."""
    return float(median(week.rows for week in profile.weeks.values())) if profile.weeks else None
