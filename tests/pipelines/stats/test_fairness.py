"""Group statistics: intervals hold the value and cover what they promise; what is not known is undefined."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.stats.fairness import (
    Count,
    absolute,
    detectable_difference,
    detectable_ratio,
    difference,
    disparate_impact,
    equal_opportunity,
    equalized_odds,
    four_fifths,
    newcombe,
    rate,
    rate_ratio,
    stratified_difference,
)

counts = st.integers(1, 400).flatmap(lambda n: st.builds(Count, hits=st.integers(0, n), rows=st.just(n)))


def test_newcombe_equals_published_values():
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10: 56/70 - 48/80 and 9/10 - 3/10.
    assert newcombe(Count(56, 70), Count(48, 80), confidence=0.95) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe(Count(9, 10), Count(3, 10), confidence=0.95) == pytest.approx((0.1705, 0.8090), abs=5e-5)


def test_katz_equals_its_formula():
    found = disparate_impact(Count(30, 100), Count(50, 100), confidence=0.95)
    spread = math.exp(1.959964 * math.sqrt(0.7 / 30 + 0.5 / 50))
    assert found.value == pytest.approx(0.6)
    assert found.interval == pytest.approx((0.6 / spread, 0.6 * spread), rel=1e-5)


@given(counts, counts, st.sampled_from([0.8, 0.95, 0.99]))
def test_every_interval_holds_its_value(member: Count, rest: Count, confidence: float):
    for found in (
        rate(member, confidence=confidence),
        difference(member, rest, confidence=confidence),
        absolute(difference(member, rest, confidence=confidence)),
        disparate_impact(member, rest, confidence=confidence),
        four_fifths(disparate_impact(member, rest, confidence=confidence)),
    ):
        if found.defined:
            assert found.interval[0] - 1e-12 <= found.value <= found.interval[1] + 1e-12


@given(counts, counts)
def test_difference_turns_its_sign_and_the_four_fifths_ratio_does_not_care_who_is_who(member: Count, rest: Count):
    one, other = (difference(*pair, confidence=0.95) for pair in ((member, rest), (rest, member)))
    assert one.value == pytest.approx(-other.value)
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    impacts = [four_fifths(disparate_impact(*pair, confidence=0.95)) for pair in ((member, rest), (rest, member))]
    if all(impact.defined for impact in impacts):
        assert impacts[0].value == pytest.approx(impacts[1].value)
        assert 0 <= impacts[0].value <= 1


@given(counts)
def test_equal_groups_have_no_disparity(group: Count):
    assert difference(group, group, confidence=0.95).value == 0
    if group.hits:
        assert disparate_impact(group, group, confidence=0.95).value == 1


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=5), st.floats(-0.2, 0.2))
def test_stratified_difference_is_the_common_difference(pairs: list[tuple[Count, Count]], shift: float):
    members = [Count(b.rate * 1000 + shift * 1000, 1000) for _, b in pairs]
    rests = [Count(b.rate * 1000, 1000) for _, b in pairs]
    kept = [(a, b) for a, b in zip(members, rests) if 0 <= a.hits <= 1000]
    if kept:
        weights = [1.0 + i for i in range(len(kept))]
        found = stratified_difference([a for a, _ in kept], [b for _, b in kept], weights=weights, confidence=0.95)
        assert found.value == pytest.approx(shift, abs=1e-9)


def test_empty_groups_and_a_rate_of_zero_to_divide_by_are_undefined():
    assert not rate(Count(0, 0), confidence=0.95).defined
    assert not difference(Count(0, 0), Count(1, 2), confidence=0.95).defined
    assert not disparate_impact(Count(1, 2), Count(0, 9), confidence=0.95).defined
    assert not four_fifths(disparate_impact(Count(1, 2), Count(0, 0), confidence=0.95)).defined
    empty_group = np.zeros(5, dtype=int)
    assert not equal_opportunity(empty_group, empty_group, group=empty_group, n_labels=2, confidence=0.95).defined
    assert not equalized_odds(
        empty_group, empty_group, group=empty_group, n_labels=2, confidence=0.95, min_class_rows=1
    ).defined


@pytest.mark.parametrize("truth", [0.05, 0.4])
def test_intervals_cover_as_often_as_they_promise(truth: float):
    generator = np.random.default_rng(5)
    held = 0
    for a, b in zip(generator.binomial(60, truth, 400), generator.binomial(240, truth, 400)):
        low, high = newcombe(Count(int(a), 60), Count(int(b), 240), confidence=0.95)
        held += low <= 0 <= high
    assert held / 400 >= 0.93


def test_equal_opportunity_takes_out_that_groups_are_mixed_differently():
    # both groups are right on 9 of 10 easy rows and on 5 of 10 hard ones, but members have more hard ones
    truth = np.repeat([0, 1, 0, 1], [10, 90, 90, 10])
    group = np.repeat([1, 1, 0, 0], [10, 90, 90, 10])
    predicted = truth.copy()
    for start, n, wrong in ((0, 10, 1), (10, 90, 45), (100, 90, 9), (190, 10, 5)):
        predicted[start : start + wrong] = 1 - truth[start : start + wrong]
    found = equal_opportunity(truth, predicted, group=group, n_labels=2, confidence=0.95)
    assert found.value == pytest.approx(0.0)
    right = [(predicted == truth)[group == value].mean() for value in (1, 0)]
    assert right[0] < right[1] - 0.2


def test_equalized_odds_does_not_cancel_signs():
    # members: true-positive rate 0.6, false-positive rate 0.3; the rest 0.8 and 0.1; the average difference is 0
    truth = np.tile(np.repeat([1, 0], 50), 2)
    group = np.repeat([1, 0], 100)
    predicted = np.concatenate([np.repeat([1, 0, 1, 0], [30, 20, 15, 35]), np.repeat([1, 0, 1, 0], [40, 10, 5, 45])])
    found = equalized_odds(truth, predicted, group=group, n_labels=2, confidence=0.95, min_class_rows=10)
    assert found.value == pytest.approx(0.2)


@given(counts, counts)
def test_the_ratio_of_rates_does_not_care_who_is_who_and_is_0_where_one_rate_is_0(member: Count, rest: Count):
    one, other = rate_ratio(member, rest, confidence=0.95), rate_ratio(rest, member, confidence=0.95)
    if not member.hits and not rest.hits:
        assert not one.defined and not other.defined
        return
    assert one.value == pytest.approx(other.value)
    assert one.interval == pytest.approx(other.interval)
    assert (one.value == 0) == (0 in (member.hits, rest.hits))


@pytest.mark.parametrize(("rows", "rate_of_rest"), [(300, 0.3), (1000, 0.5), (400, 0.8)])
def test_a_detectable_ratio_is_found_four_times_in_five(rows, rate_of_rest):
    limit, confidence = 0.8, 0.9
    rest = Count(int(rows * rate_of_rest), rows)
    found = detectable_ratio(Count(rest.hits - 1, rows), rest, limit=limit, confidence=confidence)
    draw = np.random.default_rng(1)
    closes = 0
    for _ in range(1000):
        member, others = (int(draw.binomial(rows, share)) for share in (found * rate_of_rest, rate_of_rest))
        closes += rate_ratio(Count(member, rows), Count(others, rows), confidence=confidence).interval[1] < limit
    assert 0.74 < closes / 1000 < 0.86


def test_a_detectable_difference_is_found_four_times_in_five():
    limit, confidence, rows = 0.1, 0.9, 300
    found = detectable_difference([(Count(240, rows), Count(240, rows))], limit=limit, confidence=confidence)
    draw = np.random.default_rng(1)
    closes = 0
    for _ in range(1000):
        member, rest = (int(draw.binomial(rows, share)) for share in (0.8 - found, 0.8))
        gap = absolute(difference(Count(member, rows), Count(rest, rows), confidence=confidence))
        closes += gap.interval[0] > limit
    assert 0.7 < closes / 1000 < 0.9


def test_nothing_is_detectable_without_rows():
    assert detectable_ratio(Count(0, 0), Count(5, 10), limit=0.8, confidence=0.9) is None
    assert detectable_difference([], limit=0.1, confidence=0.9) is None
