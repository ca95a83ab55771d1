"""Mitigation: reweighing of training rows, and the checks that the weights help and stay moderate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.records.labeling import ABSTAIN
from pipelines.records.schema import DomainSchema, ProtectedAttribute
from pipelines.stages.bias_gate.measure import weighted_gap
from pipelines.stages.bias_gate.params import BiasGateParams
from pipelines.stages.bias_gate.reweighing import effective_share, fit_weights
from pipelines.stats.fairness import RateEstimate, group_codes


def mitigate(
    records: pd.DataFrame,
    *,
    codes: np.ndarray,
    favorable: Sequence[int],
    schema: DomainSchema,
    params: BiasGateParams,
) -> tuple[np.ndarray, list[Check], dict[str, Any]]:
    """Return the weight of every row (n,), the checks of the weights, and a summary.

    Weights are fitted on labeled training rows and checked on labeled validation rows: on the former, parity is exact
    by construction.
    """
    if params.mitigation == "none" or not schema.protected:
        return np.ones(len(records)), [], {"method": "none"}
    outcome = np.isin(codes, favorable).astype(np.int64) if favorable else codes
    names = ["another label", "a favorable label"] if favorable else list(schema.labels)
    groups = pd.DataFrame({item.name: group_codes(records[item.name]) for item in schema.protected})
    labeled, part = codes != ABSTAIN, records["part"].to_numpy()
    train = labeled & (part == "train")
    fitted = fit_weights(outcome[train], groups=groups[train].reset_index(drop=True), names=names)
    weights = np.where(labeled, fitted.of(outcome, groups=groups), 1.0)
    values = range(1, 2) if favorable else range(len(names))
    checks, attributes = [], {}
    for item in schema.protected:
        group, found = groups[item.name].to_numpy(), {}
        for where in ("train", "validation"):
            chosen = labeled & (part == where)
            outcomes = [outcome[chosen] == value for value in values]
            before, after = (
                weighted_gap(outcomes, group=group[chosen], weights=used[chosen], confidence=params.confidence)
                for used in (np.ones(len(records)), weights)
            )
            found[where] = {"before": before.as_dict(), "after": after.as_dict()}
        attributes[item.name] = found
        checks.append(_parity_check(item, after, params=params))
    largest, left = float(weights[train].max(initial=0.0)), effective_share(weights[train])
    checks += _size_checks(largest, left, rows=int(train.sum()), params=params)
    summary = {"method": "reweighing", "attributes": attributes, "largest_weight": largest}
    return weights, checks, summary | {"effective_share": left if np.isfinite(left) else None}


def _parity_check(item: ProtectedAttribute, gap: RateEstimate, *, params: BiasGateParams) -> Check:
    sentence = (
        f"largest weighted difference of label shares between {item.member} and {item.rest} on validation rows, "
        "which the weights were not fitted on"
    )
    if gap.rows < params.min_validation_rows:
        sentence += f": the smaller group has {gap.rows} rows, at least {params.min_validation_rows} needed: undecided"
    elif not gap.defined:
        sentence += ": undefined, so harm cannot be ruled out"
    return Check.at_most(
        f"weighted_parity:{item.name}",
        gap.value,
        limit=params.max_weighted_parity,
        interval=gap.interval,
        rows=gap.rows,
        min_rows=params.min_validation_rows,
        undecided_passes_from=params.min_validation_rows,
        required=item.name not in params.undecided_passes or (gap.rows > 0 and not gap.defined),
        sentence=sentence,
    )


def _size_checks(largest: float, left: float, *, rows: int, params: BiasGateParams) -> list[Check]:
    return [
        Check.at_most(
            "largest_weight",
            largest,
            limit=params.max_weight,
            rows=rows,
            min_rows=1,
            required=True,
            sentence=f"the largest weight of a training row is {largest:.2f}",
        ),
        Check.at_least(
            "effective_sample",
            left,
            limit=params.min_effective_sample,
            rows=rows,
            min_rows=1,
            required=True,
            sentence=f"the effective sample size is {left:.1%} of {rows} training rows"
            if np.isfinite(left)
            else f"the effective sample size of {rows} training rows is undefined",
        ),
    ]
