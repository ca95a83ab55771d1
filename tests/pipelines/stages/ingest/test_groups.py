"""Whether the groups of the newest records are still known, also where weeks are small."""

import pytest

from pipelines.stages.ingest.groups import check_known_groups, known_groups, periods_of
from pipelines.stages.ingest.weekly import Week
from tests.factories.tickets import END


def weeks(known_until, *, count=104, rows=12):
    """Small weeks whose group is known up to a week of the window (0 is the last)."""
    return {-n: Week(rows=rows, nulls={"senior": 0 if -n <= known_until else rows}, medians={}) for n in range(count)}


def outcome(weeks_):
    return check_known_groups(weeks_, names=["senior"], limit=0.5, min_rows=100)[0]


@pytest.mark.parametrize(("known_until", "expected"), [(0, "passed"), (-20, "failed"), (-60, "failed")])
def test_an_attribute_that_ended_closes_although_each_week_is_too_small(known_until, expected):
    assert outcome(weeks(known_until)).outcome == expected


def test_an_attribute_that_was_never_known_or_has_no_past_is_undecided():
    assert outcome(weeks(-1000)).outcome == "undecided"
    assert outcome(weeks(0, count=4)).outcome == "undecided"
    assert outcome({}).outcome == "undecided"


def test_every_row_is_in_one_period_and_the_shares_are_by_date():
    given = weeks(-20)
    periods = periods_of(given, names=["senior"], min_rows=100)
    assert sum(item.rows for item in periods) == sum(week.rows for week in given.values())
    shares = known_groups(given, names=["senior"], min_rows=100, end=END)["senior"]
    assert [item["share"] for item in shares][-1] == 0 and shares[0]["share"] == 1
    assert shares == sorted(shares, key=lambda item: item["from"])
