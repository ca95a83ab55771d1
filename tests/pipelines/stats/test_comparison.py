"""Cluster bootstrap: what it estimates, how often it errs, and what stays together."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from pipelines.runtime.errors import ParamsError
from pipelines.stats.comparison import (
    Resampling,
    class_sums,
    cluster_rows,
    expanded_tail,
    macro_f1,
    macro_f1_score,
    share,
    share_sums,
)

labels = st.integers(2, 6)


def rows(**columns):
    n = len(next(iter(columns.values())))
    base = {
        "text": [f"text {i}" for i in range(n)],
        "entity": [None] * n,
        "received_at": pd.to_datetime(["2025-01-01"] * n, utc=True),
    }
    return pd.DataFrame(base | columns)


@given(st.data(), labels)
@settings(max_examples=50, deadline=None)
def test_macro_f1_is_that_of_scikit_learn_over_the_classes_with_gold_rows(data, k):
    n = data.draw(st.integers(1, 40))
    code = st.lists(st.integers(0, k - 1), min_size=n, max_size=n)
    gold, predicted = np.array(data.draw(code)), np.array(data.draw(code))
    found = float(macro_f1(class_sums(gold, predicted, n_labels=k).sum(axis=0)))
    expected = f1_score(gold, predicted, labels=sorted(set(gold)), average="macro", zero_division=0)
    assert found == pytest.approx(expected)
    assert 0 <= found <= 1


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_interval_holds_the_value_and_the_difference_to_oneself_is_zero(seed):
    draw = np.random.default_rng(seed)
    gold = draw.integers(0, 3, 60)
    predicted = np.where(draw.random(60) < 0.7, gold, draw.integers(0, 3, 60))
    redraw = Resampling.of(np.arange(60), resamples=300, seed=1)
    sums = class_sums(gold, predicted, n_labels=3)
    found = redraw.estimate(sums, macro_f1, confidence=0.95)
    assert found.lower <= found.value <= found.upper
    same = redraw.paired_difference(sums, sums, macro_f1, confidence=0.95)
    assert (same.value, same.lower, same.upper) == (0, 0, 0)


def test_the_difference_is_antisymmetric_and_repeatable():
    draw = np.random.default_rng(3)
    gold, one, other = (draw.integers(0, 3, 200) for _ in range(3))
    redraw = Resampling.of(np.arange(200) // 5, resamples=500, seed=1)
    a, b = (class_sums(gold, predicted, n_labels=3) for predicted in (one, other))
    there, back = (redraw.paired_difference(*pair, macro_f1, confidence=0.9) for pair in ((a, b), (b, a)))
    assert there.value == pytest.approx(-back.value)
    assert there.lower == pytest.approx(-back.upper)
    again = Resampling.of(np.arange(200) // 5, resamples=500, seed=1)
    assert again.paired_difference(a, b, macro_f1, confidence=0.9) == there


def test_an_interval_of_a_share_agrees_with_the_binomial_and_widens_with_clusters():
    draw = np.random.default_rng(0)
    right = draw.random(1000) < 0.8
    single = Resampling.of(np.arange(1000), resamples=2000, seed=1).estimate(share_sums(right), share, confidence=0.975)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 1000)
    assert (single.upper - single.lower) / 2 == pytest.approx(half, rel=0.12)
    by_tens = np.repeat(draw.random(100) < 0.8, 10)
    clustered = Resampling.of(np.repeat(np.arange(100), 10), resamples=2000, seed=1).estimate(
        share_sums(by_tens), share, confidence=0.975
    )
    assert clustered.upper - clustered.lower > 2.5 * (single.upper - single.lower)


def test_a_slice_uses_the_same_redraws_and_counts_its_own_rows_and_clusters():
    right = np.array([True] * 50 + [False] * 50)
    redraw = Resampling.of(np.arange(100) // 2, resamples=300, seed=1)
    part = np.arange(0, 40)
    found = redraw.estimate(share_sums(right[part]), share, confidence=0.95, rows=part)
    assert (found.value, found.rows, found.clusters) == (1.0, 40, 20)


def test_one_cluster_has_no_interval():
    found = Resampling.of(np.zeros(30), resamples=300, seed=1).estimate(share_sums(np.ones(30)), share, confidence=0.95)
    assert found.value == 1
    assert found.interval is None
    assert found.as_dict()["lower"] is None


def test_no_rows_give_nan_and_no_interval():
    found = Resampling.of(np.zeros(0), resamples=300, seed=1).estimate(np.zeros((0, 2)), share, confidence=0.95)
    assert np.isnan(found.value)
    assert found.interval is None


def test_more_clusters_than_the_limit_are_drawn_together():
    redraw = Resampling.of(np.arange(12_000), resamples=200, seed=1)
    assert redraw.weights.shape == (200, 5000)


def test_the_tail_is_wider_with_few_clusters_and_the_wanted_one_with_many():
    tails = [expanded_tail(0.05, clusters=n) for n in (5, 20, 10_000)]
    assert tails[0] < tails[1] < tails[2]
    assert tails[2] == pytest.approx(0.05, abs=1e-4)


def test_a_tail_beyond_the_draws_is_taken_from_their_spread():
    draw = np.random.default_rng(0)
    right = draw.random(400) < 0.5
    redraw = Resampling.of(np.arange(400), resamples=400, seed=1)
    common = redraw.estimate(share_sums(right), share, confidence=0.95)
    rare = redraw.estimate(share_sums(right), share, confidence=0.9999)
    assert rare.lower < common.lower
    assert rare.upper > common.upper


def test_rows_of_one_text_entity_or_day_are_one_cluster_and_sharing_is_transitive():
    frame = rows(
        text=["Hello  there", "hello THERE", "b", "c", ""],
        entity=[None, "x", "x", None, None],
        received_at=pd.to_datetime([f"2025-01-0{d}T0{d}:00" for d in (1, 2, 3, 4, 5)], utc=True),
    )
    codes = cluster_rows(frame, by=["text", "entity", "day"])
    assert codes[0] == codes[1] == codes[2]
    assert len({codes[2], codes[3], codes[4]}) == 3
    same_day = rows(text=["a", "b"], received_at=pd.to_datetime(["2025-01-01T00:00", "2025-01-01T23:59"], utc=True))
    assert len(set(cluster_rows(same_day, by=["day"]))) == 1
    assert len(set(cluster_rows(same_day, by=[]))) == 2
    assert len(cluster_rows(same_day.iloc[:0], by=["day"])) == 0


def test_empty_texts_join_nothing():
    assert len(set(cluster_rows(rows(text=["", "  ", ""]), by=["text", "entity"]))) == 3


def test_an_unknown_cluster_column_is_an_error_that_lists_the_others():
    with pytest.raises(ParamsError, match=r"cluster_by: unknown name 'week'.*text, entity, day"):
        cluster_rows(rows(text=["a"]), by=["week"])


@pytest.mark.slow
def test_equal_models_are_called_better_at_most_one_time_in_twenty():
    """200 pairs of equally good models on days that differ: the one-sided bound at 0.975 errs under 5 %."""
    draw = np.random.default_rng(11)
    called = 0
    for _ in range(200):
        day = np.sort(draw.integers(0, 60, 1200))
        gold = draw.choice(7, 1200, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
        chance = np.clip(0.8 + draw.normal(0, 0.05, 60)[day], 0, 1)
        models = [np.where(draw.random(1200) < chance, gold, (gold + draw.integers(1, 7, 1200)) % 7) for _ in range(2)]
        sums = [class_sums(gold, predicted, n_labels=7) for predicted in models]
        found = Resampling.of(day, resamples=500, seed=1).paired_difference(*sums, macro_f1, confidence=0.975)
        called += found.lower > 0
    assert called / 200 <= 0.05


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_macro_f1_is_scikit_learns_over_the_classes_with_gold_rows(pairs):
    predicted, gold = (np.array(column) for column in zip(*pairs, strict=True))
    expected = f1_score(gold, predicted, labels=np.unique(gold), average="macro", zero_division=0)
    assert macro_f1_score(gold, np.eye(4)[predicted]) == pytest.approx(expected)
