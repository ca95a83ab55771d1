"""History looked at again."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
import toy

from pipelines.live.drift.replay import look_back, read_history, triggers
from pipelines.reporting.drift_page import replay_chart, replay_page
from pipelines.stats.histogram import freeze_category, freeze_number

START, MOVED, END = date(2025, 1, 6), date(2025, 8, 11), date(2025, 9, 8)
KINDS = {"state": "category", "score": "number"}


@pytest.fixture(scope="module")
def looks():
    frame = toy.rows(START, END, a_day=40)
    frame.loc[frame["received_at"] >= pd.Timestamp(MOVED, tz="UTC"), "score"] += 1.0
    history = read_history(frame, kinds=KINDS, start=START, end=END, time_column="received_at")
    return look_back(history, start=START, end=END, n_weeks=26, every=1, bins=10, most_categories=50, params=toy.ALARM)


def test_the_drift_breaches_two_weeks_after_it_came_and_not_before(looks):
    breaching = [look.end for look in looks if look.breaches]
    assert MOVED + timedelta(days=7) < breaching[0] <= MOVED + timedelta(days=14)
    assert all(look.breaches == ("score",) for look in looks if look.breaches)


def test_it_would_have_been_one_retraining(looks):
    made = triggers(looks, params=toy.DECISION)
    assert [item["action"] for item in made] == ["retrain"] and made[0]["minutes"] == 15


def test_a_spent_budget_is_a_page(looks):
    made = triggers(looks, params=toy.DECISION.model_copy(update={"minutes_a_month": 5}))
    assert {item["action"] for item in made} == {"page"} and made[0]["minutes"] == 0


@pytest.mark.parametrize("kind", ["number", "category"])
def test_bins_of_a_look_are_those_of_a_frozen_profile(kind):
    frame = toy.rows(START, START + timedelta(weeks=4))
    name = "score" if kind == "number" else "state"
    (column,) = read_history(frame, kinds={name: kind}, start=START, end=END, time_column="received_at")
    reference = column.between(0, 28)
    place = column.bins(reference, bins=10, most_categories=2)
    counts = np.bincount(place, weights=reference, minlength=place[-1] + 1)
    if kind == "number":
        frozen = freeze_number(frame[name], name=name, bins=10)
    else:
        frozen = freeze_category(frame[name], name=name, most=2)
    expected = np.bincount(frozen.codes(frame[name]), minlength=frozen.n_bins)
    assert len(counts) == len(expected) and np.abs(counts - expected).max() <= len(frame) / 200


def test_the_page_is_the_same_twice_and_escaped(looks):
    content = {
        "source": "<script>",
        "start": "2025-01-06",
        "end": "2025-09-08",
        "weeks": 26,
        "every": "day",
        "columns": ["state", "score"],
        "limits": {"alert_excess": 0.1, "breach_excess": 0.2},
        "triggers": triggers(looks, params=toy.DECISION),
        "minutes": 15.0,
        "looks": [
            {
                "end": str(look.end),
                "rows": look.rows,
                "alerts": look.alerts,
                "breaches": look.breaches,
                "excess": {"score": 0.3},
            }
            for look in looks
        ],
    }
    page = replay_page(content)
    assert page == replay_page(content) and "<script>" not in page and "2025-08" in page
    assert replay_chart(content).startswith("<svg")
