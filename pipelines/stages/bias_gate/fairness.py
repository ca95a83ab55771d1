"""Fairness metrics by AIF360 on 0/1 columns; NaN when a group is empty or a divisor is 0."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

NAN = float("nan")
MEMBER, REST = [{"group": 1.0}], [{"group": 0.0}]


@dataclass(frozen=True)
class Parity:
    """AIF360's statistical parity difference and disparate impact of one outcome, members against the rest."""

    difference: float
    impact: float
    member_rate: float
    rest_rate: float


@dataclass(frozen=True)
class ErrorGaps:
    """AIF360's differences of error rates, members minus the rest."""

    true_positive: float
    false_positive: float
    equal_opportunity: float
    equalized_odds: float
    average_odds: float


def parity(outcome: np.ndarray, *, group: np.ndarray, weights: np.ndarray | None = None) -> Parity:
    """Compare how often members (group 1) and the rest (group 0) have the outcome; other rows are left out."""
    known = (group == 1) | (group == 0)
    if not (group == 1).any() or not (group == 0).any():
        return Parity(NAN, NAN, NAN, NAN)
    with aif360_quietly():
        from aif360.metrics import BinaryLabelDatasetMetric
    data = dataset(outcome[known], group=group[known], weights=None if weights is None else weights[known])
    metric = BinaryLabelDatasetMetric(data, unprivileged_groups=MEMBER, privileged_groups=REST)
    member_rate, rest_rate = float(metric.base_rate(privileged=False)), float(metric.base_rate(privileged=True))
    return Parity(
        difference=float(metric.mean_difference()),
        impact=float(metric.disparate_impact()) if rest_rate > 0 else NAN,
        member_rate=member_rate,
        rest_rate=rest_rate,
    )


def error_gaps(truth: np.ndarray, predicted: np.ndarray, *, group: np.ndarray) -> ErrorGaps:
    """Compare the errors of a 0/1 prediction between members and the rest; rates of empty cells are NaN."""
    known = (group == 1) | (group == 0)
    if not (group == 1).any() or not (group == 0).any():
        return ErrorGaps(NAN, NAN, NAN, NAN, NAN)
    with aif360_quietly():
        from aif360.metrics import ClassificationMetric
    metric = ClassificationMetric(
        dataset(truth[known], group=group[known]),
        dataset(predicted[known], group=group[known]),
        unprivileged_groups=MEMBER,
        privileged_groups=REST,
    )
    with np.errstate(invalid="ignore", divide="ignore"):  # an empty cell gives NaN, which the caller reports
        tpr, fpr = metric.true_positive_rate_difference(), metric.false_positive_rate_difference()
        return ErrorGaps(
            true_positive=float(tpr),
            false_positive=float(fpr),
            equal_opportunity=float(metric.equal_opportunity_difference()),
            equalized_odds=float(max(abs(tpr), abs(fpr))) if np.isfinite([tpr, fpr]).all() else NAN,
            average_odds=float(metric.average_odds_difference()),
        )


def reweighing_factors(
    outcome: np.ndarray, *, group: np.ndarray, weights: np.ndarray | None = None
) -> dict[tuple[int, int], float]:
    """Return AIF360's Reweighing factors: n_g n_y / (n n_gy) for every (group, outcome) of 0/1 columns, without an
    empty cell.
    """
    with aif360_quietly():
        from aif360.algorithms.preprocessing import Reweighing
    fitted = Reweighing(unprivileged_groups=MEMBER, privileged_groups=REST)
    fitted.fit(dataset(outcome, group=group, weights=weights))
    return {
        (1, 1): float(fitted.w_up_fav),
        (1, 0): float(fitted.w_up_unfav),
        (0, 1): float(fitted.w_p_fav),
        (0, 0): float(fitted.w_p_unfav),
    }


def dataset(outcome: np.ndarray, *, group: np.ndarray, weights: np.ndarray | None = None) -> Any:
    """Return AIF360's BinaryLabelDataset of a 0/1 outcome and a 0/1 group (StandardDataset does not work with pandas
    3).
    """
    with aif360_quietly():
        from aif360.datasets import BinaryLabelDataset
    frame = pd.DataFrame({"group": group.astype(np.float64), "outcome": outcome.astype(np.float64)})
    if weights is not None:
        frame["weight"] = weights.astype(np.float64)
    return BinaryLabelDataset(
        favorable_label=1.0,
        unfavorable_label=0.0,
        df=frame,
        label_names=["outcome"],
        protected_attribute_names=["group"],
        instance_weights_name=None if weights is None else "weight",
    )


@contextlib.contextmanager
def aif360_quietly() -> Iterator[None]:
    """Suppress the warnings that AIF360 logs at import about optional packages that are not installed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
