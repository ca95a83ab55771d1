"""Jensen-Shannon distance, Cramér's V and Kendall's trend against scipy and hand-computed values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.stats.association import cramers_v, jensen_shannon, kendall_trend

COUNTS = st.lists(st.integers(0, 500), min_size=4, max_size=4).map(np.array)


@given(COUNTS, COUNTS)
def test_jensen_shannon_is_symmetric_and_between_0_and_1(one, other):
    distance = jensen_shannon(one, other)
    if one.sum() == 0 or other.sum() == 0:
        assert math.isnan(distance)
    else:
        assert 0 <= distance <= 1
        assert distance == pytest.approx(jensen_shannon(other, one), abs=1e-7)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [([5, 0], [0, 9], 1.0), ([3, 3], [7, 7], 0.0), ([1, 0], [1, 1], math.sqrt(1.5 - 0.75 * math.log2(3)))],
)
def test_jensen_shannon_by_hand(one, other, distance):
    assert jensen_shannon(np.array(one), np.array(other)) == pytest.approx(distance, abs=1e-9)


def test_cramers_v_is_scipys():
    table = np.array([[100, 200, 300], [150, 180, 240]])
    statistic = stats.chi2_contingency(table, correction=False).statistic
    expected = stats.contingency.association(table, method="cramer")
    assert cramers_v(statistic, rows=table.sum(), shape=table.shape) == pytest.approx(expected)


@given(st.permutations(list(range(6))))
def test_kendalls_p_value_is_the_share_of_permutations_that_rise_as_much(values):
    tau, p = kendall_trend(np.array(values, dtype=float))
    rises = sum(values[j] > values[i] for i in range(6) for j in range(i + 1, 6))
    ways = np.ones(1)  # permutations of k values by their number of rises: Mahonian numbers
    for size in range(2, 7):
        ways = np.convolve(ways, np.ones(size))
    assert tau == pytest.approx(2 * rises / 15 - 1)
    assert p == pytest.approx(ways[rises:].sum() / ways.sum())


def test_a_trend_needs_four_values_and_takes_ties():
    assert math.isnan(kendall_trend(np.array([1.0, 2.0, 3.0]))[0])
    tau, p = kendall_trend(np.array([1.0, 1.0, 2.0, 3.0, 4.0, 5.0]))
    assert tau > 0.9 and p < 0.05
