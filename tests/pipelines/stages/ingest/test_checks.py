"""Each check of the gate: open on a clean window, closed on mutated ones."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.stages.ingest.checks import check_nulls
from pipelines.stages.ingest.spool import week_of
from pipelines.stages.ingest.weekly import Week
from tests.factories.tickets import END, START, ticket, tickets


def last_week(number: int) -> bool:
    return number % 56 >= 49


@pytest.mark.parametrize(
    ("check", "rows"),
    [
        ("stale_days", [row for row in tickets() if row["day"] < "2024-02-22"]),
        ("stale_days", [row for row in tickets() if row["day"] < "2024-02-10"]),
        ("volume", [row for number, row in enumerate(tickets()) if not last_week(number) or number < 112]),
        ("volume", [*tickets(), *[ticket(n + 9000, day="2024-02-20") for n in range(300)]]),
        ("null_rise", [ticket(n, channel="" if last_week(n) else "web") for n in range(560)]),
        ("null_rise", [ticket(n, senior="" if n % 56 < 6 else "no") for n in range(560)]),
        ("scale", [ticket(n, price=str(1200 + n % 5) if last_week(n) else "12") for n in range(560)]),
        ("scale", [ticket(n, price="0.12" if last_week(n) else "12") for n in range(560)]),
        ("known_groups:senior", [ticket(n, senior="no" if n % 56 < 28 else "") for n in range(560)]),
        ("known_groups:senior", [ticket(n, senior="no" if n % 56 < 28 or n > 500 else "") for n in range(560)]),
        ("lost_columns", tickets(channel="")),
        ("lost_columns", tickets(price="")),
        ("rejected_share", tickets(price="free")),
        ("rejected_share", [*tickets(), *tickets(40, day="never")]),
        ("rows", tickets(112)),
        ("rows", tickets(1)),
        ("gold_classes", tickets(label="refund")),
        ("gold_classes", tickets(label="repair")),
    ],
)
def test_a_mutated_window_closes_the_gate(after_ingest, check, rows) -> None:
    outcomes = after_ingest(rows).outcomes()
    assert outcomes[check] == "failed" and outcomes["passed"] is False


def test_a_column_that_the_last_good_run_had_is_missed(checkout) -> None:
    (checkout.folder / "data/last_good.json").write_text('{"columns": ["channel", "price", "senior", "region"]}')
    checkout.csv(tickets())
    checkout.run()
    assert checkout.outcomes()["lost_columns"] == "failed"


@pytest.mark.parametrize(("usual", "outcome"), [(70.0, "passed"), (700.0, "failed"), (7.0, "failed")])
def test_volume_is_compared_with_the_last_good_run(checkout, usual, outcome) -> None:
    (checkout.folder / "data/last_good.json").write_text(f'{{"rows_per_week": {usual}}}')
    checkout.csv(tickets())
    checkout.run()
    assert checkout.outcomes()["volume_since_last_good"] == outcome


@pytest.mark.parametrize(("null_weeks", "outcome"), [((), "passed"), (range(4), "failed"), (range(20, 23), "failed")])
def test_weeks_with_few_rows_are_taken_together(null_weeks, outcome) -> None:
    weeks = {-n: Week(rows=14, nulls={"senior": 14 if n in null_weeks else 0}, medians={}) for n in range(40)}
    check = check_nulls(weeks, limit=0.3, min_week_rows=30, min_weeks=4)
    assert (check.outcome, check.rows) == (outcome, 13 * 3 * 14)


def test_short_windows_leave_weeks_undecided(checkout) -> None:
    checkout.csv(tickets())
    checkout.set(start=END - timedelta(days=21))
    checkout.run()
    outcomes = checkout.outcomes()
    assert outcomes["volume"] == outcomes["null_rise"] == outcomes["scale"] == "undecided" and outcomes["passed"]


@given(st.integers(-3000, 30_000))
def test_weeks_are_counted_back_from_the_end(offset: int) -> None:
    import numpy as np

    since = (END - START.replace(year=1970)).days
    week = int(week_of(np.array([since - 1 - offset]), end=END)[0])
    assert week == -(offset // 7)
