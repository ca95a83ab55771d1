"""Frozen bins and PSI."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.runtime.errors import InputError
from pipelines.stats.histogram import (
    OTHER,
    Bins,
    count_days,
    day_numbers,
    freeze_category,
    freeze_number,
    psi,
    shares,
    stack,
)

COUNTS = st.lists(st.integers(0, 10_000), min_size=4, max_size=4)


@given(COUNTS)
def test_psi_of_equal_counts_is_zero(counts):
    assert psi(counts, counts) == pytest.approx(0, abs=1e-12)


@given(COUNTS, COUNTS)
def test_psi_is_never_negative_and_the_same_both_ways(one, other):
    assert psi(one, other) >= 0
    assert psi(one, other) == pytest.approx(float(psi(other, one)))


@given(COUNTS)
def test_shares_sum_to_one(counts):
    assert shares(counts).sum() == pytest.approx(1)


def test_psi_by_hand():
    p, q = np.array([10.5, 30.5]) / 41, np.array([25.5, 15.5]) / 41
    assert psi([10, 30], [25, 15]) == pytest.approx(float(((p - q) * np.log(p / q)).sum()))


def test_an_empty_bin_does_not_explode():
    assert psi([250, 250, 250, 250], [333, 333, 334, 0]) < 2.1


def test_bins_that_do_not_exist_count_for_nothing():
    mask = np.array([True, True, False])
    assert psi([10, 30, 0], [25, 15, 0], mask=mask) == pytest.approx(float(psi([10, 30], [25, 15])))


def test_a_share_from_10_to_25_percent_is_moderate():
    assert psi([10_000] + [10_000] * 9, [25_000] + [8_333] * 9) == pytest.approx(0.165, abs=0.002)


def test_number_bins_are_open_outside_and_closed_above():
    bins = freeze_number(pd.Series(np.arange(1000.0)), name="x", bins=10)
    assert len(bins.edges) == 9
    codes = bins.codes(pd.Series([-1e9, bins.edges[0], bins.edges[0] + 0.1, 1e9, np.inf, None]))
    assert codes.tolist() == [0, 0, 1, 9, 9, bins.n_bins - 1]
    assert len(bins.labels) == bins.n_bins


def test_equal_edges_are_merged_and_a_repeated_value_has_its_own_bin():
    bins = freeze_number(pd.Series([0.0] * 60 + list(range(1, 41))), name="x", bins=10)
    assert len(set(bins.edges)) == len(bins.edges)
    below, at, above = bins.codes(pd.Series([-1.0, 0.0, 0.5]))
    assert below < at < above


def test_one_outlier_in_the_reference_moves_no_edge_much():
    values = pd.Series(np.arange(1000.0))
    clean, odd = (freeze_number(v, name="x", bins=10) for v in (values, pd.concat([values, pd.Series([1e12])])))
    assert np.allclose(clean.edges, odd.edges, atol=2)


def test_a_column_without_values_has_one_bin():
    bins = freeze_number(pd.Series([None, None], dtype="float64"), name="x", bins=10)
    assert bins.codes(pd.Series([1.0, None])).tolist() == [0, 2]


def test_text_in_a_number_is_unseen():
    bins = freeze_number(pd.Series([1.0, 2.0, 3.0]), name="x", bins=2)
    assert bins.codes(pd.Series(["2", "two", None], dtype=object))[1] == bins.n_bins - 2


def test_categories_by_frequency_rare_ones_pooled_new_ones_unseen():
    bins = freeze_category(pd.Series(["a"] * 5 + ["b"] * 3 + ["c", "d", None]), name="x", most=2)
    assert bins.categories == ("a", "b") and OTHER in bins.labels
    assert bins.codes(pd.Series(["a", "b", "c", "d", "new", None])).tolist() == [0, 1, 2, 2, 3, 4]
    assert len(bins.labels) == bins.n_bins == 5


def test_whole_numbers_are_the_same_category_whatever_their_type():
    bins = freeze_category(pd.Series([1, 1, 2]), name="x", most=5)
    assert bins.codes(pd.Series([1.0, 2.0, 3.0])).tolist() == [0, 1, 2]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=1, max_size=50))
def test_every_value_falls_into_one_bin(values):
    bins = freeze_number(pd.Series([0.0, 1.0, 2.0, 3.0]), name="x", bins=4)
    column = pd.Series(values, dtype="float64")
    counts = count_days(column, bins=bins, days=np.zeros(len(column), dtype=np.int64), n_days=1)
    assert counts.sum() == len(values)


@pytest.mark.parametrize("bins", [Bins("x", "number", edges=(0.5, 1.5)), Bins("y", "category", categories=("a",))])
def test_bins_survive_json(bins):
    assert Bins.from_json(bins.to_json()) == bins


def test_days_are_utc_and_a_row_without_a_time_is_refused():
    times = pd.Series(pd.to_datetime(["2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z"]))
    assert day_numbers(times, first_day=date(2026, 1, 1)).tolist() == [0, 1]
    with pytest.raises(InputError, match="received_at is missing in 1 rows"):
        day_numbers(pd.Series([pd.NaT, times[0]]), first_day=date(2026, 1, 1))


def test_rows_outside_the_days_are_left_out():
    bins = freeze_number(pd.Series([1.0, 2.0]), name="x", bins=2)
    counts = count_days(pd.Series([1.0, 1.0, 2.0]), bins=bins, days=np.array([-1, 0, 5]), n_days=2)
    assert counts.sum() == 1 and counts.shape == (2, bins.n_bins)


def test_stack_pads_and_marks_where():
    counts, mask = stack([np.ones((3, 4), dtype=np.int64), np.ones((3, 2), dtype=np.int64)])
    assert counts.shape == (3, 2, 4) and mask.sum(axis=1).tolist() == [4, 2] and counts[:, 1, 2:].sum() == 0
