"""Reweighing (Kamiran and Calders 2012): weights of training rows that make labels independent of groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.runtime.errors import InputError
from pipelines.stages.bias_gate.fairness import parity, reweighing_factors

TOLERANCE = 1e-12
MAX_ROUNDS = 200

Factors = dict[tuple[int, int], float]


@dataclass(frozen=True)
class Weights:
    """For each attribute the factor of every (group, outcome); a row's weight is their product, 1 if unknown."""

    factors: dict[str, Factors]

    def of(self, outcome: np.ndarray, *, groups: pd.DataFrame) -> np.ndarray:
        """Return the weight of each row (n,)."""
        weights = np.ones(len(outcome))
        for attribute, factors in self.factors.items():
            pairs = zip(groups[attribute].to_numpy(), outcome, strict=True)
            weights *= np.array([factors.get((int(g), int(y)), 1.0) for g, y in pairs])
        return weights


def fit_weights(outcome: np.ndarray, *, groups: pd.DataFrame, names: Sequence[str]) -> Weights:
    """Fit w(g, y) = n_g n_y / (n n_gy) with AIF360; `names` are the outcomes, `groups` has 1, 0 or -1 per attribute.

    One attribute needs one pass. Several are fitted in turn, each on the current weights, until every weighted
    difference is 0 (iterative proportional fitting). More than two outcomes are fitted one against the rest, which
    gives the same formula. Raises InputError for an empty cell, whose weight would be infinite, and when several
    attributes do not converge.
    """
    for attribute in groups.columns:
        _refuse_empty_cells(outcome, group=groups[attribute].to_numpy(), attribute=attribute, names=names)
    factors: dict[str, Factors] = {
        attribute: {(g, y): 1.0 for g in (0, 1) for y in range(len(names))} for attribute in groups.columns
    }
    for _ in range(MAX_ROUNDS):
        for attribute in groups.columns:
            current = Weights(factors).of(outcome, groups=groups)
            for cell, factor in _one_pass(outcome, groups[attribute].to_numpy(), current).items():
                factors[attribute][cell] *= factor
        weights = Weights(factors)
        if _largest_gap(outcome, groups=groups, weights=weights.of(outcome, groups=groups), n=len(names)) < TOLERANCE:
            return weights
    raise InputError(
        f"reweighing for {', '.join(groups.columns)} did not converge in {MAX_ROUNDS} rounds: "
        "the groups overlap too little; set bias_gate.mitigation to none"
    )


def effective_share(weights: np.ndarray) -> float:
    """Return the effective sample size as a share of the rows: (sum w)^2 / (n sum w^2), Kish 1965."""
    return float(weights.sum() ** 2 / (len(weights) * (weights**2).sum())) if len(weights) else float("nan")


def _one_pass(outcome: np.ndarray, group: np.ndarray, weights: np.ndarray) -> Factors:
    known = group >= 0
    present = [int(value) for value in np.unique(outcome[known])]
    if len(present) < 2:
        return {}
    factors: Factors = {}
    for value in present[1:] if len(present) == 2 else present:
        pair = reweighing_factors(outcome[known] == value, group=group[known], weights=weights[known])
        factors |= {(g, value): pair[g, 1] for g in (0, 1)}
        if len(present) == 2:
            factors |= {(g, present[0]): pair[g, 0] for g in (0, 1)}
    return factors


def _largest_gap(outcome: np.ndarray, *, groups: pd.DataFrame, weights: np.ndarray, n: int) -> float:
    gaps = [
        abs(parity(outcome == value, group=groups[attribute].to_numpy(), weights=weights).difference)
        for attribute in groups.columns
        for value in range(n)
    ]
    return max(gaps, default=0.0)


def _refuse_empty_cells(outcome: np.ndarray, *, group: np.ndarray, attribute: str, names: Sequence[str]) -> None:
    for value, name in enumerate(names):
        if not (outcome == value).any():
            continue  # an outcome without rows cannot differ between groups
        for side in (1, 0):
            if not ((group == side) & (outcome == value)).any():
                raise InputError(
                    f"reweighing is undefined for {attribute!r}: no training row with {attribute} = {side} is labeled "
                    f"{name}, so its weight n_g n_y / (n * 0) is infinite; collect such rows, or set "
                    "bias_gate.mitigation to none"
                )
