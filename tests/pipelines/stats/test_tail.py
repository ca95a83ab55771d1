"""The long tail of a category: weeks of the reference are as the live week is."""

import numpy as np
import pandas as pd
import pytest

from pipelines.live.drift.alarms import alerts
from pipelines.live.drift.weeks import rank_week
from pipelines.stats.histogram import Bins, count_days, freeze_category
from pipelines.stats.tail import count_tail, find_identifiers, split_tail

BINS = Bins(name="x", kind="category", categories=("a",), others=("b", "c", "d"))


def test_reference_weeks_by_hand():
    # week 1: b (also in week 2), c twice; week 2: b, d six times, which is frequent
    values = pd.Series(["a", "b", "c", "c", "b", *["d"] * 6, None])
    days = np.array([0, 0, 1, 2, 7, *[8] * 6, 9])
    given = {"bins": BINS, "days": days, "n_days": 14, "reference": True}
    tail = count_tail(values, span=1, **given)
    assert tail.sum(axis=0).tolist() == [6, 2] and tail[8].tolist() == [6, 0] and tail[1].tolist() == [0, 1]
    assert count_tail(values, span=2, **given).sum(axis=0).tolist() == [6, 4]  # there are no other two weeks
    counts = split_tail(count_days(values, bins=BINS, days=days, n_days=14), tail)
    assert counts.sum(axis=0).tolist() == [1, 2, 6, 2, 1] and counts.sum() == len(values)


def test_live_values_are_new_if_the_reference_lacks_them():
    values = pd.Series(["a", "b", "new", *["surge"] * 3])
    tail = count_tail(values, bins=BINS, days=np.zeros(6, dtype=np.int64), n_days=7, span=1)
    assert tail[0].tolist() == [3, 1]


def test_a_category_of_one_period_has_no_bin_of_its_own():
    values, periods = pd.Series(["a", "a", "b", "b", "b"]), np.array([0, 1, 1, 1, 1])
    bins = freeze_category(values, name="x", most=5, periods=periods)
    assert bins.categories == ("a",) and bins.others == ("b",)
    assert freeze_category(values, name="x", most=5, periods=np.zeros(5)).categories == ("b", "a")


def scored(values, *, n_weeks):
    """Rank the last week of values (weeks, rows) among the others."""
    rows = values.shape[1]
    days = np.repeat(7 * np.arange(n_weeks), rows)
    reference = pd.Series(values[:n_weeks].ravel())
    bins = freeze_category(reference, name="x", most=50, periods=(days - 7 * n_weeks) // 28)
    views = []
    for column, at, n_days, known in (
        (reference, days, 7 * n_weeks, True),
        (pd.Series(values[-1]), days[:rows], 7, False),
    ):
        given = {"bins": bins, "days": at, "n_days": n_days}
        counts = count_days(column, **given)
        if bins.others:
            counts = split_tail(counts, count_tail(column, span=1, reference=known, **given))
        views.append(counts.reshape(-1, 7, counts.shape[1]).sum(axis=1)[:, None])
    return rank_week(views[0], views[1][0], mask=np.ones((1, views[0].shape[2]), dtype=bool))


@pytest.mark.parametrize("n_values", [30, 3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_stationary_long_tail_is_no_drift_and_a_new_frequent_category_is(n_values):
    rng = np.random.default_rng(n_values)
    weights = 1 / np.arange(1, n_values + 1)
    alarms = caught = 0
    for _ in range(8):
        values = rng.choice(n_values, size=(27, 200), p=weights / weights.sum()).astype(str).astype(object)
        alarms += bool(alerts(scored(values, n_weeks=26), excess=0.1, optimistic_p=0.037)[0])
        values[-1, :20] = "new"
        caught += bool(alerts(scored(values, n_weeks=26), excess=0.1, optimistic_p=0.037)[0])
    assert alarms <= 2 and caught == 8


def test_identifiers_are_found_and_other_columns_are_not():
    rng, n = np.random.default_rng(0), 2_000
    days = np.sort(rng.integers(0, 70, n))
    frame = pd.DataFrame(
        {
            "account": [f"a{number}" for number in rng.permutation(n)],
            "counted": np.arange(n) + 5_000,
            "amount": rng.exponential(100, n),
            "random": rng.permutation(n),
            "company": rng.zipf(1.3, n).astype(str),
            "empty": None,
        }
    )
    kinds = {"account": "category", "company": "category", "empty": "category"}
    features = [(name, kinds.get(name, "number")) for name in frame.columns]
    assert find_identifiers(frame, features=features, days=days, n_days=70) == ("account", "counted")
    assert find_identifiers(frame[:50], features=features, days=days[:50], n_days=70) == ()
