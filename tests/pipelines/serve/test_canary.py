"""The canary's test: equal challengers complete, worse ones are stopped, however often one looks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.serve.canary import clipped_log_losses, is_canary, sequential_test

KNOBS = {"alpha": 0.05, "variance": 0.01, "burn_in": 50, "pairs_wanted": 1000}


def equal_models(generator: np.random.Generator, n: int) -> np.ndarray:
    """Differences of two models that are right equally often: mostly 0, with rare large losses of either sign."""
    size = generator.choice([0.0, 0.05, 2.5], p=[0.6, 0.3, 0.1], size=n) * generator.exponential(1.0, size=n)
    return size * generator.choice([-1.0, 1.0], size=n)


@pytest.mark.slow
def test_of_a_thousand_equal_challengers_at_most_five_percent_are_stopped():
    generator = np.random.default_rng(7)
    states = [sequential_test(equal_models(generator, 1000), **KNOBS).state for _ in range(1000)]
    assert states.count("stopped") <= 50
    assert states.count("stopped") + states.count("completed") == 1000


def test_a_worse_challenger_is_stopped_early():
    generator = np.random.default_rng(8)
    stopped = [sequential_test(equal_models(generator, 1000) + 0.3, **KNOBS) for _ in range(50)]
    assert sum(result.state == "stopped" for result in stopped) >= 48
    assert np.median([result.pairs for result in stopped]) < 600


def test_a_better_challenger_completes():
    generator = np.random.default_rng(9)
    results = [sequential_test(equal_models(generator, 1000) - 0.2, **KNOBS) for _ in range(50)]
    assert {result.state for result in results} == {"completed"}


def test_two_identical_models_complete():
    assert sequential_test(np.zeros(1000), **KNOBS).state == "completed"


def test_too_few_pairs_keep_it_running():
    assert sequential_test([], **KNOBS).state == "running"
    assert sequential_test([0.1] * 40, **KNOBS).state == "running"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_refused(bad):
    with pytest.raises(ValueError, match="pair 2"):
        sequential_test([0.1, bad], **KNOBS)


@given(confidences=st.lists(st.floats(0, 1), min_size=1), hit=st.booleans())
def test_losses_are_bounded_and_being_right_never_costs_more_than_the_bound(confidences, hit):
    losses = clipped_log_losses(confidences, [hit] * len(confidences), floor=0.01)
    assert all(0 <= loss <= -np.log(0.01) + 1e-9 for loss in losses)


@given(st.text(max_size=20))
def test_a_record_stays_with_its_model(record_id):
    assert is_canary(record_id, share=0.1, salt="3") == is_canary(record_id, share=0.1, salt="3")
    assert not is_canary(record_id, share=0.0, salt="3")
    assert is_canary(record_id, share=1.0, salt="3")


def test_the_share_of_canaries_is_the_stated_one():
    share = np.mean([is_canary(str(number), share=0.07, salt="9") for number in range(20000)])
    assert share == pytest.approx(0.07, abs=0.006)
