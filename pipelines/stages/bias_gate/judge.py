"""The checks of one protected attribute, and for those that close: the group harmed, its causes and a few records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.records.domain import ProtectedAttribute
from pipelines.records.labeling import ABSTAIN
from pipelines.records.majority import Ties
from pipelines.stages.bias_gate.causes import Cause, find_causes
from pipelines.stages.bias_gate.measure import GroupRates, Rows, compare_errors, compare_rates, labeled_right
from pipelines.stats.fairness import RateEstimate, absolute, equal_opportunity, equalized_odds
from pipelines.stats.slices import Slice

N_SHOWN = 3
TEXT_SHOWN = 240


@dataclass(frozen=True)
class Limits:
    """What the gate allows, and when it dares to say so."""

    confidence: float
    min_group_rows: int
    min_class_rows: int
    disparate_impact_at_least: float
    equal_opportunity_at_most: float
    equalized_odds_at_most: float
    undecided_closes: bool


@dataclass(frozen=True)
class Finding:
    """One check, the rows it was made on, and how large its disparity is for other labels of the same rows."""

    check: Check
    on: np.ndarray  # positions of its rows among all rows
    disparity: Callable[[np.ndarray], float]
    allowed: float
    harmed: int  # 1: the members, 0: the rest


def labeling_findings(
    rows: Rows, *, attribute: ProtectedAttribute, labels: Sequence[str], favorable: Sequence[int], limits: Limits
) -> tuple[list[Finding], dict[str, Any]]:
    """Coverage parity on all rows and labeling-error parity on gold rows, with everything measured on the way."""
    everyone, judged = np.arange(len(rows.codes)), np.flatnonzero(rows.judged)
    gold_rows = rows.where(judged)
    coverage = compare_rates(rows.codes != ABSTAIN, group=rows.group, confidence=limits.confidence)
    right = compare_rates(labeled_right(gold_rows), group=gold_rows.group, confidence=limits.confidence)
    scored, n_scored = _favor(gold_rows, favorable, n_labels=len(labels))
    errors = compare_errors(
        scored, n_labels=n_scored, confidence=limits.confidence, min_class_rows=limits.min_class_rows
    )
    worst = None if errors.worst_label is None else ("favorable" if favorable else labels[errors.worst_label])
    gap_at_most, odds_at_most = limits.equal_opportunity_at_most, limits.equalized_odds_at_most

    def opportunity_gap(codes: np.ndarray) -> float:
        other, _ = _favor(Rows(codes, gold_rows.gold, gold_rows.group), favorable, n_labels=len(labels))
        kept = other.where(other.codes != ABSTAIN)
        return abs(equal_opportunity(kept.gold, kept.codes, group=kept.group, n_labels=n_scored, confidence=0.95).value)

    def odds_gap(codes: np.ndarray) -> float:
        other, _ = _favor(Rows(codes, gold_rows.gold, gold_rows.group), favorable, n_labels=len(labels))
        kept = other.where(other.codes != ABSTAIN)
        return equalized_odds(
            kept.gold,
            kept.codes,
            group=kept.group,
            n_labels=n_scored,
            confidence=0.95,
            min_class_rows=limits.min_class_rows,
        ).value

    findings = [
        _impact_finding(
            f"coverage:{attribute.name}",
            rates=coverage,
            what="have a label",
            on=everyone,
            group=rows.group,
            outcome=_has_label,
            attribute=attribute,
            limits=limits,
        ),
        _impact_finding(
            f"labeled_right:{attribute.name}",
            rates=right,
            what="are labeled right (gold rows)",
            on=judged,
            group=gold_rows.group,
            outcome=lambda codes: (codes != ABSTAIN) & (codes == gold_rows.gold),
            attribute=attribute,
            limits=limits,
        ),
        Finding(
            _check(
                f"equal_opportunity:{attribute.name}",
                absolute(errors.opportunity),
                at_most=gap_at_most,
                sentence=_difference_sentence(errors.opportunity, attribute, favor=bool(favorable)),
                limits=limits,
            ),
            judged,
            opportunity_gap,
            gap_at_most,
            harmed=1 if errors.opportunity.value < 0 else 0,
        ),
        Finding(
            _check(
                f"equalized_odds:{attribute.name}",
                errors.odds,
                at_most=odds_at_most,
                sentence=_odds_sentence(errors.odds, attribute, worst=worst, kind=errors.worst_rate),
                limits=limits,
            ),
            judged,
            odds_gap,
            odds_at_most,
            harmed=1 if not errors.opportunity.value > 0 else 0,
        ),
    ]
    measured = {
        "coverage": coverage.as_dict(),
        "labeled_right": right.as_dict(),
        "equal_opportunity": errors.opportunity.as_dict(),
        "equalized_odds": errors.odds.as_dict() | {"label": worst, "rate": errors.worst_rate},
        "average_odds": _finite(errors.average_odds),
    }
    return findings, measured


def survival_check(rates: GroupRates, *, attribute: ProtectedAttribute, limits: Limits) -> Check:
    """Whether dedupe and split kept members and the rest alike."""
    return _check(
        f"survival:{attribute.name}",
        rates.folded,
        at_least=limits.disparate_impact_at_least,
        sentence=_rates_sentence(rates, attribute, "are kept by dedupe and split"),
        limits=limits,
    )


def favor_findings(
    rows: Rows,
    *,
    attribute: ProtectedAttribute,
    favorable: Sequence[int],
    strata: Sequence[Slice],
    limits: Limits,
) -> list[Finding]:
    """Disparate impact of a favorable label, in each part of the labeled rows.

    What is judged is the share of a group's labels that are a favor; who has no label is judged by coverage.
    """
    findings = []
    for part in strata:
        favor, group = np.isin(rows.codes[part.rows], favorable), rows.group[part.rows]
        findings.append(
            _impact_finding(
                f"label_impact:{attribute.name}" + (f":{part.name}" if part.name else ""),
                rates=compare_rates(favor, group=group, confidence=limits.confidence),
                what="get a favorable label" + (f" where {part.name}" if part.name else ""),
                on=part.rows,
                group=group,
                outcome=lambda codes: np.isin(codes, favorable),
                among=_has_label,
                attribute=attribute,
                limits=limits,
            )
        )
    return findings


def explain(
    finding: Finding,
    *,
    matrix: np.ndarray,
    names: Sequence[str],
    rows: Rows,
    attribute: ProtectedAttribute,
    n_labels: int,
    ties: Ties,
) -> tuple[Check, list[Cause]]:
    """A closing check with the group it harms and the labeling functions that cause it, best explanation first."""
    on = rows.where(finding.on)
    causes = find_causes(
        matrix[finding.on],
        names=names,
        disparity=finding.disparity,
        allowed=finding.allowed,
        n_labels=n_labels,
        ties=ties,
        group=on.group,
        gold=on.gold,
        harmed=finding.harmed,
    )
    harmed = attribute.member if finding.harmed == 1 else attribute.rest
    blamed = ", ".join(cause.labeling_function for cause in causes)
    tail = f"caused by labeling functions {blamed}" if causes else "no labeling function explains it alone"
    check = replace(
        finding.check,
        sentence=f"{finding.check.sentence}; harmed: {harmed}; {tail}",
        details={
            "attribute": attribute.name,
            "group": harmed,
            "labeling_functions": [cause.labeling_function for cause in causes],
            "causes": [cause.as_dict() for cause in causes],
        },
    )
    return check, causes


def offending_records(
    records: pd.DataFrame,
    *,
    matrix: np.ndarray,
    names: Sequence[str],
    rows: Rows,
    finding: Finding,
    causes: Sequence[Cause],
    attribute: ProtectedAttribute,
    labels: Sequence[str],
) -> list[dict[str, Any]]:
    """Three records of the harmed group with a wrong label or none, those that a cause voted on wrongly first."""
    wrong = rows.judged & (rows.codes != rows.gold)
    missing = rows.codes == ABSTAIN
    harmed = rows.group == finding.harmed
    blamed = [names.index(cause.labeling_function) for cause in causes]
    misled = (
        ((matrix[:, blamed] != ABSTAIN) & (matrix[:, blamed] != rows.gold[:, None])).any(axis=1) & rows.judged
        if blamed
        else np.zeros(len(records), dtype=bool)
    )
    places = np.flatnonzero(harmed & (wrong | missing))
    order = np.lexsort((records["id"].to_numpy(dtype=str)[places], ~wrong[places], ~misled[places]))
    return [
        {
            "check": finding.check.name,
            "attribute": attribute.name,
            "group": attribute.member if finding.harmed == 1 else attribute.rest,
            "id": str(records["id"].iloc[place]),
            "gold": labels[rows.gold[place]] if rows.gold[place] != ABSTAIN else None,
            "weak_label": labels[rows.codes[place]] if rows.codes[place] != ABSTAIN else None,
            "votes": {names[int(j)]: labels[matrix[place, j]] for j in np.flatnonzero(matrix[place] != ABSTAIN)},
            "text": str(records["text"].iloc[place])[:TEXT_SHOWN],
        }
        for place in places[order][:N_SHOWN]
    ]


def _impact_finding(
    name: str,
    *,
    rates: GroupRates,
    what: str,
    on: np.ndarray,
    group: np.ndarray,
    outcome: Callable[[np.ndarray], np.ndarray],
    attribute: ProtectedAttribute,
    limits: Limits,
    among: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Finding:
    check = _check(
        name,
        rates.folded,
        at_least=limits.disparate_impact_at_least,
        sentence=_rates_sentence(rates, attribute, what),
        limits=limits,
    )

    def disparity(codes: np.ndarray) -> float:
        kept = np.ones(len(codes), dtype=bool) if among is None else among(codes)
        hit, side = outcome(codes)[kept], group[kept]
        pair = [hit[side == value].mean() if (side == value).any() else 0.0 for value in (1, 0)]
        return float(1.0 - min(pair) / max(pair)) if max(pair) > 0 else float("nan")

    harmed = 1 if not rates.difference.value > 0 else 0
    return Finding(check, on, disparity, 1.0 - limits.disparate_impact_at_least, harmed)


def _check(name: str, estimate: RateEstimate, *, sentence: str, limits: Limits, **bound: float) -> Check:
    """A check that closes on evidence of harm; one with a group too small is undecided and says so."""
    side, limit = next(iter(bound.items()))
    if not estimate.defined:
        sentence += ": undefined, so nobody can say that no one is harmed"
    elif estimate.rows < limits.min_group_rows:
        sentence += f": the smaller group has {estimate.rows} rows, {limits.min_group_rows} wanted: undecided"
    return {"at_least": Check.at_least, "at_most": Check.at_most}[side](
        name,
        estimate.value,
        limit=limit,
        interval=estimate.interval,
        rows=estimate.rows,
        min_rows=limits.min_group_rows,
        undecided_passes_from=limits.min_group_rows,
        required=limits.undecided_closes or not estimate.defined,
        sentence=sentence,
    )


def _favor(rows: Rows, favorable: Sequence[int], *, n_labels: int) -> tuple[Rows, int]:
    """With favorable labels only the favor counts: code 0 is a favorable label, 1 another; else every class does."""
    if not favorable:
        return rows, n_labels

    def fold(codes: np.ndarray) -> np.ndarray:
        return np.where(codes == ABSTAIN, ABSTAIN, np.where(np.isin(codes, favorable), 0, 1))

    return Rows(fold(rows.codes), fold(rows.gold), rows.group), 1


def _has_label(codes: np.ndarray) -> np.ndarray:
    return np.asarray(codes != ABSTAIN)


def _rates_sentence(rates: GroupRates, attribute: ProtectedAttribute, what: str) -> str:
    return f"{_percent(rates.member)} of {attribute.member} against {_percent(rates.rest)} of {attribute.rest} {what}"


def _difference_sentence(estimate: RateEstimate, attribute: ProtectedAttribute, *, favor: bool) -> str:
    if not estimate.defined:
        return f"{attribute.member} and {attribute.rest} share no class with gold rows that have a label"
    side = "less" if estimate.value < 0 else "more"
    if favor:
        return (
            f"a favorable gold label is given to {attribute.member} {abs(estimate.value):.1%} {side} often than to "
            f"{attribute.rest}"
        )
    return (
        f"a labeled row of {attribute.member} is {abs(estimate.value):.1%} {side} often right than one of "
        f"{attribute.rest}, class by class"
    )


def _odds_sentence(
    estimate: RateEstimate, attribute: ProtectedAttribute, *, worst: str | None, kind: str | None
) -> str:
    if not estimate.defined:
        return f"{attribute.member} and {attribute.rest} share no class with gold rows that have a label"
    rate_name = "true-positive" if kind == "tpr" else "false-positive"
    return (
        f"{attribute.member} and {attribute.rest} differ most in the {rate_name} rate of {worst}: {estimate.value:.1%}"
    )


def _percent(estimate: RateEstimate) -> str:
    return f"{estimate.value:.1%}" if estimate.defined else "none"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
