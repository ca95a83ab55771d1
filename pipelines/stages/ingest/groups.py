"""Periods of weeks with enough rows, and whether it is still known to which group a record belongs.

Fairness cannot be measured where that has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import quantiles
from typing import Any

from pipelines.gates.verdict import Check
from pipelines.stages.ingest.weekly import Week
from pipelines.stats.intervals import wilson

WEEKS = 4  # of a period, at least


@dataclass(frozen=True)
class Period:
    """Rows of some weeks in a row, and how many have a known group, by attribute."""

    first_week: int  # 0 is the last week of the window, -1 the one before
    last_week: int
    rows: int
    known: Mapping[str, int]

    def __str__(self) -> str:
        last = self.last_week
        return f"week {last}" if last == self.first_week else f"weeks {self.first_week} to {last}"


def periods_of(
    weeks: Mapping[int, Week], *, names: Sequence[str], min_rows: int, min_weeks: int = WEEKS
) -> list[Period]:
    """Return periods of at least `min_weeks` weeks and `min_rows` rows, the last one first; the oldest may be smaller."""
    found: list[Period] = []
    rows, known, seen = 0, dict.fromkeys(names, 0), list[int]()
    for number in sorted(weeks, reverse=True):
        week = weeks[number]
        rows, seen = rows + week.rows, [*seen, number]
        known = {name: known[name] + week.rows - week.nulls[name] for name in names}
        if len(seen) >= min_weeks and rows >= min_rows:
            found.append(Period(number, seen[0], rows, known))
            rows, known, seen = 0, dict.fromkeys(names, 0), []
    return [*found, Period(seen[-1], seen[0], rows, known)] if rows else found


def known_groups(
    weeks: Mapping[int, Week], *, names: Sequence[str], min_rows: int, end: date
) -> dict[str, list[dict[str, Any]]]:
    """Return for each protected attribute the share of rows with a known group in each period, oldest first."""
    periods = periods_of(weeks, names=names, min_rows=min_rows)[::-1]
    return {
        name: [
            {
                "from": (end + timedelta(days=7 * (item.first_week - 1))).isoformat(),
                "rows": item.rows,
                "share": item.known[name] / item.rows,
            }
            for item in periods
        ]
        for name in names
    }


def check_known_groups(weeks: Mapping[int, Week], *, names: Sequence[str], limit: float, min_rows: int) -> list[Check]:
    """Check each protected attribute: the share of rows with a known group has not collapsed in the last period.

    It is divided by the third quartile of the earlier periods, not by their median: an attribute that ended in the
    first half of the window is found too. Closes on evidence.
    """
    last, *earlier = periods_of(weeks, names=names, min_rows=min_rows) or [Period(0, 0, 0, dict.fromkeys(names, 0))]
    checks = []
    for name in names:
        shares = [item.known[name] / item.rows for item in earlier if item.rows >= min_rows]
        usual = quantiles(shares, n=4)[2] if len(shares) > 1 else (shares or [0.0])[0]
        defined = usual > 0 and last.rows > 0
        share = last.known[name] / last.rows if last.rows else 0.0
        low, high = wilson(last.known[name], last.rows) if last.rows else (0.0, 0.0)
        checks.append(
            Check.at_least(
                f"known_groups:{name}",
                share / usual if defined else None,
                interval=(low / usual, high / usual) if defined else None,
                limit=limit,
                rows=last.rows,
                min_rows=min_rows,
                undecided_passes_from=min_rows,
                required=False,
                sentence=f"{name} is known of {share:.0%} of the rows of the last period, usually of {usual:.0%}"
                if defined
                else f"the known share of {name} cannot be compared: {len(shares)} earlier periods have {min_rows} rows",
            )
        )
    return checks
