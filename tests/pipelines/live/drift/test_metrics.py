"""Second opinions against scipy and values computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.live.drift.metrics import chi_square, kolmogorov_smirnov

RULES = {"alpha": 0.05, "min_effect": 0.1}
COUNTS = st.lists(st.integers(1, 500), min_size=4, max_size=4).map(np.array)


def test_kolmogorov_smirnov_is_scipys_and_its_critical_value_the_books():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=400), rng.normal(0.4, 1, size=300)
    opinion = kolmogorov_smirnov(x, y, rows=400, **RULES)
    assert opinion.statistic == pytest.approx(stats.ks_2samp(x, y).statistic)
    assert opinion.critical == pytest.approx(1.358 * np.sqrt(700 / 120_000), rel=1e-3)
    assert opinion.drifted


def test_a_significant_difference_that_is_small_is_no_drift():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=100_000), rng.normal(0.05, 1, size=100_000)
    opinion = kolmogorov_smirnov(x, y, rows=100_000, **RULES)
    assert opinion.statistic > opinion.critical and not opinion.drifted


def test_without_values_there_is_no_opinion():
    assert not kolmogorov_smirnov(np.empty(0), np.ones(3), rows=0, **RULES).drifted
    assert not chi_square(np.zeros(3), np.ones(3), **RULES).drifted


def test_chi_square_is_scipys_where_no_bin_is_pooled():
    table = np.array([[100, 200, 300], [150, 180, 240]])
    opinion = chi_square(table[0], table[1], **RULES)
    expected = stats.chi2_contingency(table, correction=False)
    assert opinion.statistic == pytest.approx(expected.statistic)
    assert opinion.effect == pytest.approx(np.sqrt(expected.statistic / table.sum()))
    assert opinion.drifted == (opinion.effect >= 0.1)


@given(COUNTS, COUNTS)
def test_chi_square_is_never_negative_and_its_effect_is_a_share(one, other):
    opinion = chi_square(one, other, **RULES)
    assert opinion.statistic >= 0 and 0 <= opinion.effect <= 1 + 1e-9


def test_rare_bins_are_pooled():
    opinion = chi_square(np.array([1000, 1, 0, 1]), np.array([1000, 0, 1, 1]), **RULES)
    assert not opinion.drifted and opinion.statistic < 3
