"""Temperature, losses and calibration error against what is known of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss

from pipelines.stats.calibration import brier, calibration_error_null, expected_calibration_error, log_loss, reliability
from pipelines.stats.temperature import apply_temperature, fit_temperature


def scored(n=2000, k=4, seed=0):
    """Logits and labels drawn from their own probabilities: calibrated by construction."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (n, k))
    truth = apply_temperature(logits, temperature=1.0)
    gold = (truth.cumsum(axis=1) > draw.random((n, 1))).argmax(axis=1)
    return logits, gold


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_spoiled_the_scores_is_found_again(temperature):
    logits, gold = scored()
    assert fit_temperature(logits * temperature, gold) == pytest.approx(temperature, rel=0.1)


def test_nothing_to_fit_on_leaves_the_scores_alone():
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1.0


@pytest.mark.parametrize(("n", "k"), [(20, 2), (69, 2), (200, 9)])
def test_a_few_rows_that_are_all_right_are_no_proof_of_certainty(n, k):
    draw = np.random.default_rng(1)
    gold = draw.integers(0, k, n)
    logits = 8.0 * np.eye(k)[gold] + draw.normal(0, 1, (n, k))
    predicted = apply_temperature(logits, temperature=fit_temperature(logits, gold))
    assert (predicted.argmax(axis=1) == gold).all()
    assert predicted[np.arange(n), gold].mean() == pytest.approx((n + 1) / (n + k), abs=0.01)


@given(st.integers(0, 1000), st.floats(0.1, 10))
@settings(max_examples=30, deadline=None)
def test_a_temperature_keeps_the_answer_and_gives_probabilities(seed, temperature):
    logits, _ = scored(n=20, seed=seed)
    found = apply_temperature(logits, temperature=temperature)
    assert np.allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == logits.argmax(axis=1)).all()


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_losses_are_those_of_the_books(seed):
    logits, gold = scored(n=60, seed=seed)
    predicted = apply_temperature(logits, temperature=1.0)
    assert log_loss(predicted, gold) == pytest.approx(sklearn_log_loss(gold, predicted, labels=range(4)))
    assert 0 <= brier(predicted, gold) <= 2
    sure = np.eye(4)[gold]
    assert (log_loss(sure, gold), brier(sure, gold)) == (0, 0)


def test_a_certain_mistake_costs_much_and_not_infinity():
    assert 27 < log_loss(np.array([[1.0, 0.0]]), np.array([1])) < 28


@pytest.mark.parametrize(("n", "expected", "off"), [(500, 0.041, 0.006), (5000, 0.013, 0.002)])
def test_a_perfect_model_shows_the_known_calibration_error(n, expected, off):
    confidence = np.random.default_rng(4).uniform(0.4, 1, n)
    mean, high = calibration_error_null(confidence, bins=15, simulations=200, seed=1)
    assert mean == pytest.approx(expected, abs=off)
    assert high > mean


def test_the_error_of_a_calibrated_model_lies_within_its_null_and_that_of_a_boaster_beyond():
    draw = np.random.default_rng(5)
    confidence = draw.uniform(0.4, 1, 3000)
    right = draw.random(3000) < confidence
    _, high = calibration_error_null(confidence, bins=15, simulations=200, seed=1)
    assert expected_calibration_error(confidence, right, bins=15) < high * 1.2
    assert expected_calibration_error(np.minimum(confidence + 0.15, 1), right, bins=15) > 2 * high


@given(st.lists(st.tuples(st.floats(0.01, 1), st.booleans()), min_size=1, max_size=50), st.integers(2, 20))
@settings(max_examples=50, deadline=None)
def test_bins_hold_every_row_once_and_give_the_error(pairs, bins):
    confidence, right = np.array([c for c, _ in pairs]), np.array([r for _, r in pairs])
    found = reliability(confidence, right, bins=bins)
    assert sum(item.rows for item in found) == len(pairs)
    by_hand = sum(abs(item.accuracy - item.confidence) * item.rows for item in found if item.rows) / len(pairs)
    assert expected_calibration_error(confidence, right, bins=bins) == pytest.approx(by_hand)
    assert all(item.low < item.confidence <= item.high + 1e-12 for item in found if item.rows)


def test_without_rows_everything_is_undefined():
    nothing = np.zeros(0)
    assert np.isnan(expected_calibration_error(nothing, nothing.astype(bool), bins=15))
    assert np.isnan(calibration_error_null(nothing, bins=15, simulations=50, seed=1)).all()
    assert np.isnan(log_loss(np.zeros((0, 3)), nothing.astype(int)))
