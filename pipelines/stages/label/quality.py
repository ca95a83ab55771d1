"""How good votes and labels are: what each labeling function does, for whom, and how far labels agree with gold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from pipelines.records.labeling import ABSTAIN, LabelingFunction
from pipelines.stats.fairness import Count, Interval, RateEstimate, difference, rate

NAN = float("nan")


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of labels and gold with its interval; NaN without rows and where chance agreement is certain."""

    value: float
    interval: Interval
    agreement: float
    rows: int


def cohen_kappa(labels: np.ndarray, gold: np.ndarray, *, n_labels: int, confidence: float) -> Kappa:
    """Return kappa = (po - pe) / (1 - pe) on rows that have both, with its large-sample interval.

    The variance is that of Fleiss, Cohen and Everitt (1969), "Large sample standard errors of kappa and weighted
    kappa", Psychological Bulletin 72, 323-327.
    """
    both = (labels != ABSTAIN) & (gold != ABSTAIN)
    n = int(both.sum())
    if n == 0:
        return Kappa(NAN, (NAN, NAN), NAN, 0)
    table = np.zeros((n_labels, n_labels))
    np.add.at(table, (labels[both], gold[both]), 1.0 / n)
    labeled, true = table.sum(axis=1), table.sum(axis=0)
    agreement, chance = float(np.trace(table)), float(labeled @ true)
    if math.isclose(chance, 1.0):
        return Kappa(NAN, (NAN, NAN), agreement, n)
    value = (agreement - chance) / (1 - chance)
    right = np.diag(table)
    a = float(right @ ((1 - chance) - (labeled + true) * (1 - agreement)) ** 2)
    sums = (true[:, None] + labeled[None, :]) ** 2
    b = (1 - agreement) ** 2 * float((table * sums).sum() - (right * np.diag(sums)).sum())
    c = (agreement * chance - 2 * chance + agreement) ** 2
    error = math.sqrt(max(a + b - c, 0.0) / (n * (1 - chance) ** 4))
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * error
    return Kappa(value, (max(-1.0, value - half), min(1.0, value + half)), agreement, n)


def summarize_functions(
    functions: Sequence[LabelingFunction],
    matrix: np.ndarray,
    *,
    gold: np.ndarray,
    groups: pd.DataFrame,
    confidence: float,
) -> pd.DataFrame:
    """Return one row per labeling function: coverage, overlap, conflict, accuracy on gold, and the first and last by
    group.

    Overlap and conflict are shares of all rows, as in snorkel's LFAnalysis. `gold` is -1 without a gold label and in
    parts that are not measured; `groups` holds one 0/1/null column per protected attribute.
    """
    voted = matrix != ABSTAIN
    n_votes = voted.sum(axis=1)
    rows = []
    for place, function in enumerate(functions):
        own, vote = voted[:, place], matrix[:, place]
        others = n_votes - own > 0
        disagree = ((matrix != vote[:, None]) & voted).any(axis=1)
        measured = own & (gold != ABSTAIN)
        coverage = rate(Count(int(own.sum()), len(matrix)), confidence=confidence)
        accuracy = rate(Count(int((vote == gold)[measured].sum()), int(measured.sum())), confidence=confidence)
        row: dict[str, Any] = {
            "labeling_function": function.name,
            "label": function.label or "several",
            "votes": int(own.sum()),
            **_spread("coverage", coverage),
            "overlap": float((own & others).mean()) if len(matrix) else NAN,
            "conflict": float((own & disagree).mean()) if len(matrix) else NAN,
            "gold_rows": int(measured.sum()),
            **_spread("accuracy", accuracy),
        }
        for attribute in groups.columns:
            row |= _by_group(attribute, groups[attribute], own, vote == gold, measured, confidence=confidence)
        rows.append(row)
    return pd.DataFrame(rows)


def _by_group(
    attribute: str, group: pd.Series, voted: np.ndarray, right: np.ndarray, measured: np.ndarray, *, confidence: float
) -> dict[str, Any]:
    member = (group == 1).fillna(False).to_numpy(dtype=bool)
    rest = (group == 0).fillna(False).to_numpy(dtype=bool)
    columns: dict[str, Any] = {}
    for name, outcome, among in (("coverage", voted, np.ones_like(voted)), ("accuracy", right, measured)):
        counts = [Count(int((outcome & among & side).sum()), int((among & side).sum())) for side in (member, rest)]
        gap = difference(counts[0], counts[1], confidence=confidence)
        columns[f"{attribute}_{name}_member"] = counts[0].rate
        columns[f"{attribute}_{name}_rest"] = counts[1].rate
        columns |= _spread(f"{attribute}_{name}_difference", gap)
    return columns


def _spread(name: str, estimate: RateEstimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.interval[0], f"{name}_high": estimate.interval[1]}
