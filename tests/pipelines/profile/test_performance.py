"""The accuracy at release, and its estimate without labels."""

import numpy as np
import pytest

from pipelines.profile.performance import Performance, estimate_accuracy, reliability_of


def release(confidence, right):
    bins = reliability_of(confidence, right=right)
    return Performance(len(right), int(right.sum()), 0.4, 0.5, bins)


def test_the_estimate_by_hand():
    known = Performance(200, 150, 0.4, 0.5, ((0.6, 100, 60, 0.5), (1.0, 100, 90, 0.9)))
    found = estimate_accuracy(np.array([0.5, 0.55, 0.6, 0.9]), release=known, level=0.95)
    assert found["accuracy"] == pytest.approx((0.5 + 0.55 + 0.6 + 0.9 + 3 * 0.1) / 4)
    assert found["release_accuracy"] == 0.75 and found["interval"][0] < 0.7125 < found["interval"][1]


def test_bins_have_about_equal_rows_and_few_rows_have_none():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 500)
    bins = reliability_of(confidence, right=rng.random(500) < confidence)
    assert len(bins) == 10 and sum(rows for _, rows, _, _ in bins) == 500 and {rows for _, rows, _, _ in bins} == {50}
    assert reliability_of(confidence[:20], right=confidence[:20] > 0) == ()


def test_the_interval_covers_the_accuracy_of_drifted_inputs_of_an_overconfident_model():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(300):
        confidence, live = rng.beta(6, 2, 400), rng.beta(3, 2, 300)
        known = release(confidence, rng.random(400) < confidence - 0.1)
        found = estimate_accuracy(live, release=known, level=0.95)
        truth = (rng.random(300) < live - 0.1).mean()
        covered.append(found["interval"][0] <= truth <= found["interval"][1])
    assert np.mean(covered) > 0.92


@pytest.mark.parametrize("known", [None, Performance(200, 150, 0.4, 0.5)])
def test_without_a_calibration_nothing_is_estimated(known):
    assert estimate_accuracy(np.array([0.5]), release=known, level=0.95)["accuracy"] is None
