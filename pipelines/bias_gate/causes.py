"""Which labeling functions make a disparity: those without which it shrinks most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines.core.labeling import ABSTAIN
from pipelines.core.majority import Ties, majority_vote

LEAST_SHRINK = 0.05  # of the disparity: a function that takes away less is no cause
MOST_CAUSES = 5


@dataclass(frozen=True)
class Cause:
    """One labeling function, and the disparity before and after leaving it out (after those named before it)."""

    labeling_function: str
    disparity_with: float
    disparity_without: float
    coverage_member: float | None
    coverage_rest: float | None
    accuracy_member: float | None
    accuracy_rest: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def find_causes(
    matrix: np.ndarray,
    *,
    names: Sequence[str],
    disparity: Callable[[np.ndarray], float],
    allowed: float,
    n_labels: int,
    ties: Ties,
    group: np.ndarray,
    gold: np.ndarray,
) -> list[Cause]:
    """Leave out, one after the other, the function whose absence shrinks the disparity of majority vote most.

    `disparity` maps class codes to a number, 0 at parity. It ends within `allowed`, or where no function takes away a
    twentieth of the first disparity.
    """
    first = left = disparity(majority_vote(matrix, n_labels=n_labels, ties=ties))
    kept = list(range(len(names)))
    causes: list[Cause] = []
    while np.isfinite(left) and left > allowed and len(causes) < MOST_CAUSES and len(kept) > 1:
        without = {
            place: disparity(majority_vote(matrix[:, [k for k in kept if k != place]], n_labels=n_labels, ties=ties))
            for place in kept
        }
        defined = {place: value for place, value in without.items() if np.isfinite(value)}
        if not defined:
            break
        place = min(defined, key=lambda p: (defined[p], p))
        if left - defined[place] < LEAST_SHRINK * first:
            break
        rates = _rates(matrix[:, place], group=group, gold=gold)
        causes.append(Cause(names[place], left, defined[place], *rates))
        kept.remove(place)
        left = defined[place]
    return causes


def _rates(votes: np.ndarray, *, group: np.ndarray, gold: np.ndarray) -> tuple[float | None, ...]:
    """Coverage of members and of the rest, then accuracy on gold of both."""
    voted = votes != ABSTAIN
    sides = (group == 1, group == 0)
    coverage = [_mean(voted[side]) for side in sides]
    accuracy = [_mean((votes == gold)[side & voted & (gold != ABSTAIN)]) for side in sides]
    return (*coverage, *accuracy)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
