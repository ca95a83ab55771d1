"""The canary's test: equal challengers complete, worse ones are stopped, however often the test is evaluated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.live.serve.canary import clipped_log_losses, is_canary, largest_difference, sequential_test

MOST = largest_difference(0.01)
PARAMETERS = {"alpha": 0.05, "burn_in": 50, "pairs_wanted": 1000, "largest": MOST, "margin": 0.05}


def equal_models(generator: np.random.Generator, n: int) -> np.ndarray:
    """Differences of two models that are right equally often: mostly 0, with rare large losses of either sign."""
    size = generator.choice([0.0, 0.05, 2.5], p=[0.6, 0.3, 0.1], size=n) * generator.exponential(1.0, size=n)
    return size * generator.choice([-1.0, 1.0], size=n)


@pytest.mark.slow
def test_of_a_thousand_equal_challengers_at_most_five_percent_are_stopped():
    generator = np.random.default_rng(7)
    states = [sequential_test(equal_models(generator, 1000), **PARAMETERS).state for _ in range(1000)]
    assert states.count("stopped") <= 50
    assert states.count("stopped") + states.count("completed") == 1000


def rare_and_costly(p: float, sign: float):
    """Mean 0: nearly always a little in one direction, with chance p as much as can be in the other."""
    return lambda generator, n: sign * np.where(generator.random(n) < p, MOST, -MOST * p / (1 - p))


def heavy_tailed(generator: np.random.Generator, n: int) -> np.ndarray:
    return np.clip(generator.standard_t(2, n), -MOST, MOST)


def right_as_often(generator: np.random.Generator, n: int) -> np.ndarray:
    """Log losses of two calibrated models whose mistakes have nothing to do with each other."""
    sides = []
    for _ in range(2):
        sure = generator.beta(5, 1, n)
        sides.append(clipped_log_losses(sure.tolist(), (generator.random(n) < sure).tolist(), floor=0.01))
    return np.subtract(sides[1], sides[0])


EQUAL = {
    "heavy tails": heavy_tailed,
    "mistakes of their own": right_as_often,
    **{f"{sign * 100:+.0f} {p}": rare_and_costly(p, sign) for p in (0.05, 0.02, 0.005) for sign in (1.0, -1.0)},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", EQUAL)
def test_equal_challengers_of_any_shape_are_seldom_stopped(kind):
    generator = np.random.default_rng(12)
    states = [sequential_test(EQUAL[kind](generator, 1000), **PARAMETERS).state for _ in range(400)]
    assert states.count("stopped") <= 20  # 5 %
    few = [sequential_test(EQUAL[kind](generator, 120), **PARAMETERS).state for _ in range(200)]
    assert few.count("stopped") <= 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", EQUAL)
def test_challengers_that_are_worse_by_the_margin_are_seldom_accepted_early(kind):
    generator = np.random.default_rng(14)
    results = [sequential_test(EQUAL[kind](generator, 1000) + 0.05, **PARAMETERS) for _ in range(400)]
    assert sum(result.shown == "not_worse_by_margin" for result in results) <= 20  # 5 %


def three_points_worse(generator: np.random.Generator, n: int, *, shared: float) -> np.ndarray:
    """Log losses of two calibrated models, right in 85 and 82 % of cases; this share of their luck is shared."""
    sure = generator.beta(5.1, 0.9, n)
    worse = np.clip(sure - 0.03, 0.01, 0.99)
    luck = generator.random(n)
    own = np.where(generator.random(n) < shared, luck, generator.random(n))
    sides = [(sure, luck < sure), (worse, own < worse)]
    losses = [clipped_log_losses(c.tolist(), right.tolist(), floor=0.01) for c, right in sides]
    return np.subtract(losses[1], losses[0])


@pytest.mark.slow
@pytest.mark.parametrize(("shared", "share"), [(0.9, 0.9), (0.7, 0.8), (0.4, 0.64), (0.0, 0.45)])
def test_challengers_three_points_worse_are_stopped(shared, share):
    generator = np.random.default_rng(15)
    states = [
        sequential_test(three_points_worse(generator, 1000, shared=shared), **PARAMETERS).state for _ in range(200)
    ]
    assert states.count("stopped") >= 200 * share


@pytest.mark.slow
@pytest.mark.parametrize(("worse_by", "share"), [(0.1, 0.7), (0.2, 0.95), (0.4, 1.0)])
def test_challengers_that_are_worse_are_stopped_the_more_often_the_worse(worse_by, share):
    generator = np.random.default_rng(13)
    states = [sequential_test(right_as_often(generator, 1000) + worse_by, **PARAMETERS).state for _ in range(100)]
    assert states.count("stopped") >= 100 * share


def test_a_worse_challenger_is_stopped_early():
    generator = np.random.default_rng(8)
    stopped = [sequential_test(equal_models(generator, 1000) + 0.3, **PARAMETERS) for _ in range(50)]
    assert sum(result.state == "stopped" for result in stopped) >= 48
    assert np.median([result.pairs for result in stopped]) < 600


def test_a_better_challenger_completes():
    generator = np.random.default_rng(9)
    results = [sequential_test(equal_models(generator, 1000) - 0.2, **PARAMETERS) for _ in range(50)]
    assert {result.state for result in results} == {"completed"}


def test_two_identical_models_complete():
    assert sequential_test(np.zeros(1000), **PARAMETERS).state == "completed"


def test_a_better_challenger_is_accepted_early_and_the_interval_contains_the_difference():
    generator = np.random.default_rng(10)
    results = [sequential_test(equal_models(generator, 1000) - 0.1, **PARAMETERS) for _ in range(50)]
    assert sum(result.shown == "not_worse_by_margin" for result in results) >= 45
    assert np.median([result.pairs for result in results]) < 700
    assert sum(result.interval[0] <= -0.1 <= result.interval[1] for result in results) >= 45


def test_too_few_pairs_keep_it_running():
    assert sequential_test([], **PARAMETERS).state == "running"
    assert sequential_test([0.1] * 40, **PARAMETERS).state == "running"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_refused(bad):
    with pytest.raises(ValueError, match="pair 2"):
        sequential_test([0.1, bad], **PARAMETERS)


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
