"""The bias gate as a function of values: labels, votes, gold and groups in; checks, weights and evidence out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.records.labeling import ABSTAIN
from pipelines.records.schema import DomainSchema, ProtectedAttribute
from pipelines.stages.bias_gate.causes import Votes
from pipelines.stages.bias_gate.explanation import explain, harmed_records
from pipelines.stages.bias_gate.findings import Limits, favorable_findings, labeling_findings, survival_check
from pipelines.stages.bias_gate.measure import Rows, compare_rates, label_shares
from pipelines.stages.bias_gate.mitigation import mitigate
from pipelines.stages.bias_gate.params import BiasGateParams
from pipelines.stages.bias_gate.row_outcomes import kept
from pipelines.stats.fairness import group_codes
from pipelines.stats.slices import comparable_strata

PARITY_COLUMNS = (
    *("measure", "attribute", "group", "who", "rows", "rate", "low", "high"),
    *("ratio", "ratio_low", "ratio_high", "limit", "outcome"),
)


@dataclass(frozen=True)
class LabeledRecords:
    """What the gate measures: records of split with their weak labels and votes, and what ingest had accepted."""

    records: pd.DataFrame  # (n,), with part, gold and protected attributes
    weak: pd.Series  # (n,), null without a label
    training: pd.Series  # (n,), the label that a training row is trained on; null elsewhere
    votes: Votes
    ingested: pd.DataFrame  # accepted records with their protected attributes
    outcomes: pd.Series  # row outcome of each accepted record


@dataclass(frozen=True)
class BiasMeasurement:
    """What the gate found; `weights` belongs to the labeled training rows, in the order of the records."""

    checks: list[Check]
    shown: list[dict[str, Any]]
    metrics: dict[str, Any]
    parity: pd.DataFrame
    weights: pd.DataFrame


def measure_bias(data: LabeledRecords, *, schema: DomainSchema, params: BiasGateParams) -> BiasMeasurement:
    """Measure every protected attribute, explain failed checks, and weigh training rows if the domain asks for it."""
    records, codes = data.records, _codes(data.weak, schema.labels)
    checks: list[Check] = []
    shown, metrics, parity = [], {}, []
    for attribute in schema.protected:
        own, examples, measured = _measure_attribute(attribute, data, codes=codes, schema=schema, params=params)
        checks += own
        shown += examples
        metrics[attribute.name] = measured
        parity += _parity_rows(attribute, measured, checks=own)
    if not schema.protected:
        checks.append(_no_protected_attributes(schema, rows=len(records)))
    favorable = [schema.labels.index(label) for label in schema.favorable_labels]
    training = _codes(data.training, schema.labels)
    used = np.where((records["part"] == "train").to_numpy(dtype=bool), training, codes)
    weights, weight_checks, summary = mitigate(records, codes=used, favorable=favorable, schema=schema, params=params)
    is_training = training != ABSTAIN
    return BiasMeasurement(
        checks=[*checks, *weight_checks],
        shown=shown,
        metrics={"groups": metrics, "mitigation": summary},
        parity=pd.DataFrame(parity, columns=PARITY_COLUMNS),
        weights=pd.DataFrame(
            {"id": records["id"].to_numpy()[is_training], "weight": weights[is_training].astype(np.float64)}
        ),
    )


def least_ratio(parity: pd.DataFrame) -> float | None:
    """Return the lowest ratio of rates between two groups over all measures; None when nothing was measured."""
    ratios = parity["ratio"].dropna().astype("float64")
    return float(ratios.min()) if len(ratios) else None


def _measure_attribute(
    attribute: ProtectedAttribute,
    data: LabeledRecords,
    *,
    codes: np.ndarray,
    schema: DomainSchema,
    params: BiasGateParams,
) -> tuple[list[Check], list[dict[str, Any]], dict[str, Any]]:
    """Return the checks of one attribute, examples of harmed records, and everything that was measured."""
    records, labels = data.records, schema.labels
    named = {name: getattr(params, name) for name in Limits.__dataclass_fields__ if hasattr(params, name)}
    groups = group_codes(records[attribute.name])
    reason = params.undecided_passes.get(attribute.name)
    limits = Limits(**named, reason=reason, known={0, 1} <= set(groups.tolist()))
    favorable = [labels.index(label) for label in schema.favorable_labels]
    in_measured_part = records["part"].isin(list(params.measured_parts)).to_numpy(dtype=bool)
    gold = np.where(in_measured_part, _codes(records["gold"], labels), ABSTAIN)
    rows = Rows(codes, gold, groups)
    findings, measured = labeling_findings(rows, attribute=attribute, labels=labels, favorable=favorable, limits=limits)
    if favorable and params.mitigation != "reweighing":  # otherwise weighted_parity checks them, with the weights
        strata = comparable_strata(
            records, schema=schema, group=rows.group, at_least=limits.min_group_rows, among=codes != ABSTAIN
        )
        findings += favorable_findings(rows, attribute=attribute, favorable=favorable, strata=strata, limits=limits)
    checks: list[Check] = []
    examples: list[dict[str, Any]] = []
    for finding in findings:
        check = finding.check
        if check.outcome == "failed" and check.value is not None:  # of an undefined metric there is nothing to explain
            check, causes = explain(finding, votes=data.votes, rows=rows, attribute=attribute, n_labels=len(labels))
            examples = examples or harmed_records(
                records,
                votes=data.votes,
                rows=rows,
                finding=finding,
                causes=causes,
                attribute=attribute,
                labels=labels,
            )
        checks.append(check)
    survival = compare_rates(
        kept(data.outcomes), group=group_codes(data.ingested[attribute.name]), confidence=limits.confidence
    )
    checks.append(survival_check(survival, attribute=attribute, limits=limits))
    sizes = {
        name: int((rows.group == code).sum())
        for name, code in (("member_rows", 1), ("rest_rows", 0), ("unknown_rows", -1))
    }
    shares = label_shares(rows, labels=labels, confidence=limits.confidence)
    return checks, examples, sizes | measured | {"survival": survival.as_dict(), "labels": shares}


def _parity_rows(
    attribute: ProtectedAttribute, measured: dict[str, Any], *, checks: Sequence[Check]
) -> list[dict[str, Any]]:
    """Return the rows of parity.csv: the rate of each measure and group, and the ratio that its check is about."""
    by_name = {check.name: check for check in checks}
    rows = []
    for measure in ("coverage", "labeled_right", "survival"):
        check = by_name[f"{measure}:{attribute.name}"]
        impact = measured[measure]["impact"]
        for group, who in (("member", attribute.member), ("rest", attribute.rest)):
            estimate = measured[measure][group]
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


def _no_protected_attributes(schema: DomainSchema, *, rows: int) -> Check:
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
