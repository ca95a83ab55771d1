"""The canary's sequential test: is the challenger worse than the champion on the same records? Valid at any time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

# Simulated (tests/pipelines/live/serve/test_canary.py): with these, equal challengers are stopped in at most alpha of
# cases even if their losses are as skewed as can be; with no unseen differences and all of alpha, 7 to 80 %.
UNSEEN = 5  # unseen largest differences that the scale allows for
SPENT = 0.45  # share of alpha that the boundary spends; the rest is for skewed losses
State = Literal["running", "stopped", "completed"]
Shown = Literal["nothing", "worse", "not_worse_by_margin"]


@dataclass(frozen=True)
class CanaryResult:
    """State of the test after `pairs` labeled records, and what it has shown."""

    state: State
    pairs: int
    evidence: float  # sum of differences by the sum that stops it: 1 stops it; 0 while the challenger is ahead
    mean_difference: float | None  # mean loss of the challenger minus the champion's
    interval: tuple[float, float] | None = None  # of the mean; each bound is one-sided at 1 - alpha, at any time
    shown: Shown = "nothing"


def sequential_test(
    differences: Iterable[float], *, alpha: float, burn_in: int, pairs_wanted: int, largest: float, margin: float
) -> CanaryResult:
    """Test after every pair whether the challenger is worse, or is not worse by `margin`, until `pairs_wanted` pairs.

    `differences` are the loss of the challenger minus the loss of the champion per record, (n,), in the order in which
    the labels arrived. With N = `pairs_wanted`, S the sum and s the root mean square of the differences so far, it stops
    once S >= z s sqrt(N): a sum of N equal challengers' differences ever gets there with probability 2 (1 - Phi(z))
    (reflection principle; O'Brien and Fleming 1979 is its form for a few evaluations), so that evaluating often does
    not raise the error rate. In the same way it accepts once S - k `margin` <= -z s sqrt(N) after k pairs, s about the
    margin: a challenger that is worse by the margin or more is accepted so in at most `alpha` of cases. The first
    `burn_in` pairs only set the scale, to which `UNSEEN` further pairs are added that differ by `largest`, the most that
    two losses can: a challenger that is slightly less confident and avoids the champion's rare, costly mistakes appears
    worse until the first of them is seen.

    Raises ValueError for a difference that is not a finite number.
    """
    boundary = NormalDist().inv_cdf(1 - SPENT * alpha / 2) * math.sqrt(pairs_wanted)
    count, total, squares, margin_squares = 0, 0.0, 0.0, 0.0
    result = CanaryResult("running", 0, 0.0, None)
    for value in differences:
        if not math.isfinite(value):
            raise ValueError(f"pair {count + 1}: invalid difference of losses {value}: expected a finite number")
        count, total, squares = count + 1, total + value, squares + value**2
        margin_squares += (value - margin) ** 2
        reach = boundary * _scale(squares, count, largest=largest)
        evidence = max(total, 0.0) / reach
        state: State = "completed" if count >= pairs_wanted else "running"
        shown: Shown = "nothing"
        if count > burn_in and evidence >= 1:
            state, shown = "stopped", "worse"
        elif count > burn_in and total - count * margin <= -boundary * _scale(margin_squares, count, largest=largest):
            state, shown = "completed", "not_worse_by_margin"
        interval = ((total - reach) / count, (total + reach) / count)
        result = CanaryResult(state, count, evidence, total / count, interval, shown)
        if state != "running":
            return result
    return result


def _scale(squares: float, count: int, *, largest: float) -> float:
    """Return the root mean square of differences; about the tested mean, so one large difference increases it, too."""
    return math.sqrt((squares + UNSEEN * largest**2) / (count + UNSEEN))


def largest_difference(floor: float) -> float:
    """Return the largest possible difference of two losses of `clipped_log_losses`."""
    return math.log((1 - floor) / floor)


def clipped_log_losses(confidences: Sequence[float], right: Sequence[bool], *, floor: float) -> list[float]:
    """Return the log loss of the statement "my answer is right" per record, (n,).

    It is -ln c where the answer was right and -ln(1 - c) where not, with c clipped to [floor, 1 - floor]: only the
    answered class and its confidence are logged, and the test needs bounded losses.
    """
    losses = []
    for confidence, hit in zip(confidences, right, strict=True):
        bounded = min(max(confidence, floor), 1 - floor)
        losses.append(-math.log(bounded if hit else 1 - bounded))
    return losses


def is_canary(record_id: str, *, share: float, salt: str) -> bool:
    """Return whether the challenger answers a record; the answer depends on the id and the salt (its version) only."""
    import hashlib

    digest = hashlib.blake2b(f"{salt}:{record_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
