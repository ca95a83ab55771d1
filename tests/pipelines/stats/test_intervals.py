"""Wilson's interval: published values, and it contains the observed share."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from pipelines.stats.intervals import wilson


@pytest.mark.parametrize(("hits", "rows", "interval"), [(81, 263, (0.2553, 0.3662)), (0, 20, (0.0, 0.1611))])
def test_wilson_equals_published_values(hits, rows, interval):
    # Newcombe 1998, Statistics in Medicine 17:857, table I
    assert wilson(hits, rows) == pytest.approx(interval, abs=5e-5)


@given(st.integers(1, 100_000), st.data(), st.sampled_from([0.8, 0.95, 0.999]))
def test_wilson_contains_the_share_and_stays_within_0_and_1(rows, data, confidence):
    hits = data.draw(st.integers(0, rows))
    low, high = wilson(hits, rows, confidence=confidence)
    assert 0 <= low <= hits / rows + 1e-12
    assert hits / rows - 1e-12 <= high <= 1


def test_arrays_give_what_each_of_their_values_gives():
    low, high = wilson(np.array([1, 30]), np.array([10, 40]), confidence=0.99)
    assert (low[0], high[0]) == pytest.approx(wilson(1, 10, confidence=0.99))
    assert (low[1], high[1]) == pytest.approx(wilson(30, 40, confidence=0.99))


def test_no_rows_have_no_interval():
    assert all(math.isnan(bound) for bound in wilson(0, 0))


@given(st.integers(1, 10**9), st.floats(0, 1), st.sampled_from([0.8, 0.9, 0.95, 0.999]))
def test_wilson_equals_that_of_statsmodels(rows, share, confidence):
    hits = share * rows
    theirs = proportion_confint(hits, rows, alpha=1 - confidence, method="wilson")
    assert wilson(np.array([hits]), np.array([rows]), confidence=confidence) == pytest.approx(theirs, abs=1e-12)
