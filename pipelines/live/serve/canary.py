"""The canary's sequential test: is the challenger worse than the champion on the same records, looked at any time?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

UNSEEN = (
    3  # simulated: equal challengers with mistakes of any rarity are stopped in under 3 % (7 % with 1, 80 % with 0)
)
State = Literal["running", "stopped", "completed"]


@dataclass(frozen=True)
class CanaryResult:
    """Where the test stands after `pairs` records with a label; evidence of 1/alpha stops, enough pairs complete."""

    state: State
    pairs: int
    evidence: float  # likelihood ratio of the mixture against "no difference"; 0 while the challenger is ahead
    mean_difference: float | None  # mean loss of the challenger minus the champion's


def sequential_test(
    differences: Iterable[float], *, alpha: float, variance: float, burn_in: int, pairs_wanted: int, largest: float
) -> CanaryResult:
    """Normal-mixture sequential test of the sum of standardized paired losses (Robbins 1970; Johari et al. 2017).

    `differences`: loss of the challenger minus loss of the champion, one a record, in the order the labels came.
    L_n = (1 + n t^2)^(-1/2) exp(t^2 S^2 / (2 (1 + n t^2))) with t^2 = `variance` of the mixture and S the sum of the
    differences over their root mean square so far. It stops at 1/alpha while the challenger is behind, so the chance to
    stop an equal one stays below alpha however often one looks. The first `burn_in` pairs only set the scale, and
    `UNSEEN` more count there that differ by `largest`, the most two losses can: a challenger that is a little less sure
    of itself and avoids the champion's rare, dear mistakes looks worse every time until the first of them is seen.

    Raises ValueError for a difference that is not a finite number.
    """
    count, total, squares, evidence = 0, 0.0, 0.0, 0.0
    for value in differences:
        if not math.isfinite(value):
            raise ValueError(f"pair {count + 1}: the difference of losses is {value}; finite losses would be right")
        count, total, squares = count + 1, total + value, squares + value**2
        if count > burn_in and squares > 0:
            # About 0, the null's mean, so that the scale also grows with a single large difference.
            standardized = total / math.sqrt((squares + UNSEEN * largest**2) / (count + UNSEEN))
            scale = 1 + count * variance
            exponent = variance * standardized**2 / (2 * scale) - math.log(scale) / 2
            evidence = math.exp(exponent) if total > 0 else 0.0
            if evidence >= 1 / alpha:
                return CanaryResult("stopped", count, evidence, total / count)
        if count >= pairs_wanted:
            return CanaryResult("completed", count, evidence, total / count)
    return CanaryResult("running", count, evidence, total / count if count else None)


def largest_difference(floor: float) -> float:
    """The most by which two losses of `clipped_log_losses` can differ."""
    return math.log((1 - floor) / floor)


def clipped_log_losses(confidences: Sequence[float], right: Sequence[bool], *, floor: float) -> list[float]:
    """Log loss of "my answer is right": -ln c where it was, -ln(1 - c) where not, c within [floor, 1 - floor].

    Only the answered class and its confidence are logged, so the loss is of that statement; it is bounded, which the
    test needs.
    """
    losses = []
    for confidence, hit in zip(confidences, right, strict=True):
        bounded = min(max(confidence, floor), 1 - floor)
        losses.append(-math.log(bounded if hit else 1 - bounded))
    return losses


def is_canary(record_id: str, *, share: float, salt: str) -> bool:
    """Whether a record is answered by the challenger: the same id always is, as long as the challenger is the same."""
    import hashlib

    digest = hashlib.blake2b(f"{salt}:{record_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
