"""The labeling functions that cause a disparity: those whose removal reduces it most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines.records.labeling import ABSTAIN
from pipelines.records.majority import Ties, majority_vote
from pipelines.stages.bias_gate.measure import Rows
from pipelines.stats.fairness import RateEstimate, count, stratified_difference

MIN_REDUCTION = 0.05  # share of the disparity; a function whose removal reduces it by less is not a cause
MAX_CAUSES = 5
CONFIDENCE = 0.95  # of the intervals that make a function a suspect


@dataclass(frozen=True)
class Votes:
    """Votes of labeling functions: class codes (n, functions), -1 for none, and how majority vote breaks ties."""

    matrix: np.ndarray
    names: Sequence[str]
    ties: Ties


@dataclass(frozen=True)
class Cause:
    """One labeling function, and the disparity before and after removing it (in addition to the earlier causes)."""

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
    votes: Votes,
    rows: Rows,
    *,
    disparity: Callable[[np.ndarray], float],
    allowed: float,
    n_labels: int,
    harmed: int,
) -> list[Cause]:
    """Remove, one after the other, the suspect whose absence reduces the disparity of majority vote most.

    `disparity` maps class codes to a number, 0 at parity. The search ends when the disparity is within `allowed`, or
    when neither one suspect nor all remaining suspects together reduce it by a twentieth of the first disparity.
    """

    matrix, names, group, gold = votes.matrix, votes.names, rows.group, rows.gold

    def without(places: Sequence[int]) -> float:
        kept = [place for place in range(len(names)) if place not in places]
        return disparity(majority_vote(matrix[:, kept], n_labels=n_labels, ties=votes.ties)) if kept else float("nan")

    first = left = without([])
    suspected = suspects(matrix, group=group, gold=gold, harmed=harmed, n_labels=n_labels) or list(range(len(names)))
    out: list[int] = []
    causes: list[Cause] = []
    while np.isfinite(left) and left > allowed and len(causes) < MAX_CAUSES:
        rest = [place for place in suspected if place not in out]
        trials = [([place], without([*out, place])) for place in rest]
        best = min((trial for trial in trials if np.isfinite(trial[1])), key=lambda trial: trial[1], default=None)
        if best is None or left - best[1] < MIN_REDUCTION * first:
            together = without([*out, *rest])  # functions that outvote the others only together
            best = (rest, together) if len(rest) > 1 and left - together >= MIN_REDUCTION * first else None
        if best is None:
            break
        for place in best[0]:
            causes.append(Cause(names[place], left, best[1], *_rates(matrix[:, place], group=group, gold=gold)))
        out += best[0]
        left = best[1]
    return causes[:MAX_CAUSES]


def suspects(matrix: np.ndarray, *, group: np.ndarray, gold: np.ndarray, harmed: int, n_labels: int) -> list[int]:
    """Return the functions that serve the harmed group worse: correct less often or wrong more often, per class.

    Otherwise a good function would be named whenever its removal harms both groups alike. When no row has a gold
    label, these are the functions that vote less often on the harmed group.
    """
    found = []
    side = np.where(group == harmed, 1, np.where(group == 1 - harmed, 0, -1))
    strata = (
        [gold == label for label in range(n_labels)] if (gold != ABSTAIN).any() else [np.ones(len(gold), dtype=bool)]
    )
    for place in range(matrix.shape[1]):
        votes = matrix[:, place]
        voted = votes != ABSTAIN
        right = voted & ((votes == gold) | (gold == ABSTAIN))
        if _gap(right, strata, side).interval[1] < 0 or _gap(voted & ~right, strata, side).interval[0] > 0:
            found.append(place)
    return found


def _gap(outcome: np.ndarray, strata: Sequence[np.ndarray], side: np.ndarray) -> RateEstimate:
    members = [count(outcome, where=stratum & (side == 1)) for stratum in strata]
    rests = [count(outcome, where=stratum & (side == 0)) for stratum in strata]
    weights = [a.rows + b.rows for a, b in zip(members, rests, strict=True)]
    return stratified_difference(members, rests, weights=weights, confidence=CONFIDENCE)


def _rates(votes: np.ndarray, *, group: np.ndarray, gold: np.ndarray) -> tuple[float | None, ...]:
    """Return coverage of members and of the rest, then accuracy against gold of both."""
    voted = votes != ABSTAIN
    sides = (group == 1, group == 0)
    coverage = [_mean(voted[side]) for side in sides]
    accuracy = [_mean((votes == gold)[side & voted & (gold != ABSTAIN)]) for side in sides]
    return (*coverage, *accuracy)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
