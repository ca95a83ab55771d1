"""The bias gate as one function of values: labels, votes, gold and groups in; checks, weights and evidence out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.records.domain import DomainSchema, ProtectedAttribute
from pipelines.records.labeling import ABSTAIN
from pipelines.records.majority import Ties
from pipelines.stages.bias_gate.judge import (
    Limits,
    explain,
    favor_findings,
    labeling_findings,
    offending_records,
    survival_check,
)
from pipelines.stages.bias_gate.measure import Rows, compare_rates, group_codes, label_shares, weighted_gap
from pipelines.stages.bias_gate.params import BiasGateParams
from pipelines.stages.bias_gate.reweighing import effective_share, fit_weights
from pipelines.stages.bias_gate.row_outcomes import kept
from pipelines.stats.fairness import RateEstimate
from pipelines.stats.slices import comparable_strata


@dataclass(frozen=True)
class BiasMeasurement:
    """What the gate found; `weights` belongs to the labeled training rows, in the order of the records."""

    checks: list[Check]
    shown: list[dict[str, Any]]
    metrics: dict[str, Any]
    parity: pd.DataFrame
    weights: pd.DataFrame


def measure_bias(
    records: pd.DataFrame,
    *,
    weak: pd.Series,
    matrix: np.ndarray,
    names: Sequence[str],
    ties: Ties,
    ingested: pd.DataFrame,
    outcomes: pd.Series,
    schema: DomainSchema,
    params: BiasGateParams,
) -> BiasMeasurement:
    """Measure every protected attribute, explain what closes, and weigh training rows where the domain asks for it."""
    labels = schema.labels
    codes = _codes(weak, labels)
    measured = records["part"].isin(list(params.measured_parts)).to_numpy(dtype=bool)
    gold = np.where(measured, _codes(records["gold"], labels), ABSTAIN)
    limits = Limits(**{name: getattr(params, name) for name in Limits.__dataclass_fields__})
    favorable = [labels.index(label) for label in schema.favorable_labels]
    checks, shown, metrics, parity = [], [], {}, []
    for attribute in schema.protected:
        rows = Rows(codes, gold, group_codes(records[attribute.name]))
        findings, found = labeling_findings(
            rows, attribute=attribute, labels=labels, favorable=favorable, limits=limits
        )
        if favorable and params.mitigation != "reweighing":  # else weighted_parity judges, with the weights
            strata = comparable_strata(
                records, schema=schema, group=rows.group, at_least=limits.min_group_rows, among=codes != ABSTAIN
            )
            findings += favor_findings(rows, attribute=attribute, favorable=favorable, strata=strata, limits=limits)
        examples: list[dict[str, Any]] = []
        for finding in findings:
            check = finding.check
            if check.outcome == "failed":
                check, causes = explain(
                    finding,
                    matrix=matrix,
                    names=names,
                    rows=rows,
                    attribute=attribute,
                    n_labels=len(labels),
                    ties=ties,
                )
                examples = examples or offending_records(
                    records,
                    matrix=matrix,
                    names=names,
                    rows=rows,
                    finding=finding,
                    causes=causes,
                    attribute=attribute,
                    labels=labels,
                )
            checks.append(check)
        shown += examples
        survival = compare_rates(
            kept(outcomes), group=group_codes(ingested[attribute.name]), confidence=limits.confidence
        )
        checks.append(survival_check(survival, attribute=attribute, limits=limits))
        metrics[attribute.name] = {
            "member_rows": int((rows.group == 1).sum()),
            "rest_rows": int((rows.group == 0).sum()),
            "unknown_rows": int((rows.group == -1).sum()),
            **found,
            "survival": survival.as_dict(),
            "labels": label_shares(rows, labels=labels, confidence=limits.confidence),
        }
        parity += _parity_rows(attribute, found | {"survival": survival.as_dict()}, checks=checks)
    if not schema.protected:
        checks.append(_nobody_to_protect(schema, rows=len(records)))
    weights, weight_checks, summary = _mitigate(records, codes=codes, favorable=favorable, schema=schema, params=params)
    is_training = (records["part"] == "train").to_numpy(dtype=bool) & (codes != ABSTAIN)
    return BiasMeasurement(
        checks=[*checks, *weight_checks],
        shown=shown,
        metrics={"groups": metrics, "mitigation": summary},
        parity=pd.DataFrame(parity, columns=PARITY_COLUMNS),
        weights=pd.DataFrame(
            {"id": records["id"].to_numpy()[is_training], "weight": weights[is_training].astype(np.float64)}
        ),
    )


PARITY_COLUMNS = (
    *("measure", "attribute", "group", "who", "rows", "rate", "low", "high"),
    *("ratio", "ratio_low", "ratio_high", "limit", "outcome"),
)


def _parity_rows(
    attribute: ProtectedAttribute, found: dict[str, Any], *, checks: Sequence[Check]
) -> list[dict[str, Any]]:
    """The rows of parity.csv: for each measure and group its rate with interval, and the ratio that the gate judges."""
    by_name = {check.name: check for check in checks}
    rows = []
    for measure in ("coverage", "labeled_right", "survival"):
        check = by_name[f"{measure}:{attribute.name}"]
        impact = found[measure]["impact"]
        for group, who in (("member", attribute.member), ("rest", attribute.rest)):
            estimate = found[measure][group]
            rows.append(
                {
                    "measure": measure,
                    "attribute": attribute.name,
                    "group": group,
                    "who": f"{attribute.name}: {measure}, {who}".replace("_", " "),
                    "rows": estimate["rows"],
                    "rate": estimate["value"],
                    "low": estimate["interval"][0],
                    "high": estimate["interval"][1],
                    "ratio": impact["value"],
                    "ratio_low": impact["interval"][0],
                    "ratio_high": impact["interval"][1],
                    "limit": check.limit,
                    "outcome": check.outcome,
                }
            )
    return rows


def least_ratio(parity: pd.DataFrame) -> float | None:
    """The worst ratio of rates between two groups over all measures; None where nothing was measured."""
    ratios = parity["ratio"].dropna().astype("float64")
    return float(ratios.min()) if len(ratios) else None


def _mitigate(
    records: pd.DataFrame,
    *,
    codes: np.ndarray,
    favorable: Sequence[int],
    schema: DomainSchema,
    params: BiasGateParams,
) -> tuple[np.ndarray, list[Check], dict[str, Any]]:
    """Weights of all rows, fitted on labeled training rows and judged on labeled validation rows."""
    if params.mitigation == "none" or not schema.protected:
        return np.ones(len(records)), [], {"method": "none"}
    outcome = np.isin(codes, favorable).astype(np.int64) if favorable else codes
    names = ["another label", "a favorable label"] if favorable else list(schema.labels)
    groups = pd.DataFrame({item.name: group_codes(records[item.name]) for item in schema.protected})
    labeled = codes != ABSTAIN
    part = records["part"].to_numpy()
    train, validation = labeled & (part == "train"), labeled & (part == "validation")
    fitted = fit_weights(outcome[train], groups=groups[train].reset_index(drop=True), names=names)
    weights = np.where(labeled, fitted.of(outcome, groups=groups), 1.0)
    values = range(1, 2) if favorable else range(len(names))
    checks = []
    summary: dict[str, Any] = {"method": "reweighing", "attributes": {}}
    for item in schema.protected:
        gaps = {}
        for where, chosen in (("train", train), ("validation", validation)):
            outcomes = [outcome[chosen] == value for value in values]
            known = groups[item.name].to_numpy()[chosen]
            gaps[where] = weighted_gap(outcomes, group=known, weights=weights[chosen], confidence=params.confidence)
            unweighted = weighted_gap(
                outcomes, group=known, weights=np.ones(int(chosen.sum())), confidence=params.confidence
            )
            summary["attributes"].setdefault(item.name, {})[where] = {
                "before": unweighted.as_dict(),
                "after": gaps[where].as_dict(),
            }
        checks.append(
            Check.at_most(
                f"weighted_parity:{item.name}",
                gaps["validation"].value,
                limit=params.weighted_parity_at_most,
                interval=gaps["validation"].interval,
                rows=gaps["validation"].rows,
                min_rows=params.min_validation_rows,
                undecided_passes_from=params.min_validation_rows,
                required=params.undecided_closes or not gaps["validation"].defined,
                sentence=f"largest weighted difference of label shares between {item.member} and {item.rest} "
                "on validation rows, which the weights were not fitted on"
                + _too_few(gaps["validation"], wanted=params.min_validation_rows),
            )
        )
    largest, left = float(weights[train].max(initial=0.0)), effective_share(weights[train])
    n_train = int(train.sum())
    summary |= {"largest_weight": largest, "effective_share": left if np.isfinite(left) else None}
    checks += [
        Check.at_most(
            "largest_weight",
            largest,
            limit=params.largest_weight_at_most,
            rows=n_train,
            min_rows=1,
            required=True,
            sentence=f"the heaviest training row counts {largest:.2f} times",
        ),
        Check.at_least(
            "effective_sample",
            left,
            limit=params.effective_sample_at_least,
            rows=n_train,
            min_rows=1,
            required=True,
            sentence=f"the weights leave {left:.1%} of {n_train} training rows as effective sample",
        ),
    ]
    return weights, checks, summary


def _too_few(estimate: RateEstimate, *, wanted: int) -> str:
    if not estimate.defined:
        return ": undefined, a group has no such row"
    few = f": the smaller group has {estimate.rows} rows, {wanted} wanted: undecided"
    return few if estimate.rows < wanted else ""


def _nobody_to_protect(schema: DomainSchema, *, rows: int) -> Check:
    return Check.equals(
        "protected_attributes",
        0,
        limit=0,
        rows=rows,
        min_rows=0,
        required=True,
        sentence=f"the domain has no protected attributes: {schema.no_protected_because}",
    )


def _codes(column: pd.Series, labels: Sequence[str]) -> np.ndarray:
    return np.asarray(pd.Categorical(column.astype("object"), categories=list(labels)).codes, dtype=np.int64)
