"""Replay of history: a drift breaches in time, and bins are those that a profile would freeze."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.live.drift.replay import Settings, evaluate_history, read_history, triggers
from pipelines.reporting.drift_page import replay_chart, replay_page
from pipelines.stats.histogram import freeze_category, freeze_number
from tests.factories import drift_toy as toy

START, MOVED, END = date(2025, 1, 6), date(2025, 8, 11), date(2025, 9, 8)
KINDS = {"state": "category", "score": "number"}


@pytest.fixture(scope="module")
def evaluations():
    frame = toy.rows(START, END, per_day=40)
    frame.loc[frame["received_at"] >= pd.Timestamp(MOVED, tz="UTC"), "score"] += 1.0
    history = read_history(frame, kinds=KINDS, start=START, end=END, time_column="received_at")
    settings = Settings(n_weeks=26, bins=10, max_categories=50, alarm=toy.ALARM)
    return evaluate_history(history, start=START, end=END, every=1, settings=settings)


def test_drift_breaches_within_two_weeks_and_not_before(evaluations):
    breaching = [item.end for item in evaluations if item.breaches]
    assert MOVED + timedelta(days=7) < breaching[0] <= MOVED + timedelta(days=14)
    assert all(item.breaches == ("score",) for item in evaluations if item.breaches)


def test_it_would_have_been_one_retraining(evaluations):
    triggered = triggers(evaluations, params=toy.DECISION)
    assert [item["action"] for item in triggered] == ["retrain"] and triggered[0]["minutes"] == 15


def test_a_spent_budget_is_a_page(evaluations):
    triggered = triggers(evaluations, params=toy.DECISION.model_copy(update={"max_minutes_per_month": 5}))
    assert {item["action"] for item in triggered} == {"page"} and triggered[0]["minutes"] == 0


@pytest.mark.parametrize("kind", ["number", "category"])
def test_bins_of_an_evaluation_are_those_of_a_frozen_profile(kind):
    frame = toy.rows(START, START + timedelta(weeks=4))
    name = "score" if kind == "number" else "state"
    (column,) = read_history(frame, kinds={name: kind}, start=START, end=END, time_column="received_at")
    weeks = np.stack([column.between(day, day + 7) for day in range(0, 28, 7)])
    place = column.bins(weeks, bins=10, max_categories=2)
    counts = np.bincount(place, weights=weeks.sum(axis=0), minlength=place[-1] + 1)
    number = kind == "number"
    frozen = (
        freeze_number(frame[name], name=name, bins=10) if number else freeze_category(frame[name], name=name, most=2)
    )
    expected = np.bincount(frozen.codes(frame[name]), minlength=frozen.n_bins)
    assert len(counts) == len(expected) and np.abs(counts - expected).max() <= len(frame) / 200


def test_a_long_tail_without_drift_triggers_nothing_and_a_new_category_does():
    rng = np.random.default_rng(3)
    frame = toy.rows(START, END, per_day=30)
    frame["company"] = np.minimum(rng.zipf(1.4, len(frame)), 100_000).astype(str)
    settings = Settings(n_weeks=26, bins=10, max_categories=50, alarm=toy.ALARM)
    days = {"start": START, "end": END}

    def evaluate():
        history = read_history(frame, kinds={"company": "category"}, time_column="received_at", **days)
        return evaluate_history(history, every=7, settings=settings, **days)

    assert [item.end for item in evaluate() if item.alerts] == []
    late = frame["received_at"] >= pd.Timestamp(END - timedelta(days=7), tz="UTC")
    frame.loc[late & (rng.random(len(frame)) < 0.1), "company"] = "new"
    assert [item.end for item in evaluate() if item.alerts] == [END]


def test_the_page_is_the_same_twice_and_escaped(evaluations):
    content = {
        "source": "<script>",
        "start": "2025-01-06",
        "end": "2025-09-08",
        "weeks": 26,
        "every": "day",
        "columns": ["state", "score"],
        "limits": {"alert_excess": 0.1, "breach_excess": 0.2},
        "triggers": triggers(evaluations, params=toy.DECISION),
        "minutes": 15.0,
        "evaluations": [
            {
                "end": str(item.end),
                "rows": item.rows,
                "alerts": item.alerts,
                "breaches": item.breaches,
                "excess": {"score": 0.3},
            }
            for item in evaluations
        ],
    }
    page = replay_page(content)
    assert page == replay_page(content) and "<script>" not in page and "2025-08" in page
    assert replay_chart(content).startswith("<svg")
