"""The checks of one protected attribute; each closes only on evidence of harm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.gates.verdict import Check
from pipelines.records.labeling import ABSTAIN
from pipelines.records.schema import ProtectedAttribute
from pipelines.stages.bias_gate.measure import (
    ErrorParity,
    GroupRates,
    Rows,
    compare_errors,
    compare_rates,
    labeled_right,
)
from pipelines.stats.fairness import RateEstimate, absolute, equal_opportunity, equalized_odds
from pipelines.stats.slices import Slice

Codes = np.ndarray


@dataclass(frozen=True)
class Limits:
    """What the gate allows, and the group sizes from which a check can decide."""

    confidence: float
    min_group_rows: int
    min_class_rows: int
    min_disparate_impact: float
    max_equal_opportunity: float
    max_equalized_odds: float
    reason: str | None = None  # why undecided does not close the gate
    known: bool = True  # whether both groups have rows: a reason covers groups that are unknown, not lost labels


@dataclass(frozen=True)
class Finding:
    """One check, the rows it is based on, and a function that gives its disparity for other labels of these rows."""

    check: Check
    on: np.ndarray  # positions of its rows among all rows
    disparity: Callable[[Codes], float]
    allowed: float
    harmed: int  # 1: the members, 0: the rest


def labeling_findings(
    rows: Rows, *, attribute: ProtectedAttribute, labels: Sequence[str], favorable: Sequence[int], limits: Limits
) -> tuple[list[Finding], dict[str, Any]]:
    """Return parity of coverage on all rows and of labeling errors on gold rows, and everything that was measured.

    `favorable` are class codes of favorable labels; with some, errors are those of the favorable outcome.
    """
    everyone, with_gold = np.arange(len(rows.codes)), np.flatnonzero(rows.has_gold)
    gold_rows = rows.where(with_gold)
    coverage = compare_rates(rows.codes != ABSTAIN, group=rows.group, confidence=limits.confidence)
    right = compare_rates(labeled_right(gold_rows), group=gold_rows.group, confidence=limits.confidence)
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
            what="are labeled correctly (gold rows)",
            on=with_gold,
            group=gold_rows.group,
            outcome=lambda codes: (codes != ABSTAIN) & (codes == gold_rows.gold),
            attribute=attribute,
            limits=limits,
        ),
    ]
    error_findings, errors, worst = _error_findings(
        gold_rows, with_gold, attribute=attribute, labels=labels, favorable=favorable, limits=limits
    )
    measured = {
        "coverage": coverage.as_dict(),
        "labeled_right": right.as_dict(),
        "equal_opportunity": errors.opportunity.as_dict(),
        "equalized_odds": errors.odds.as_dict() | {"label": worst, "rate": errors.worst_rate},
        "average_odds": errors.average_odds if np.isfinite(errors.average_odds) else None,
    }
    return findings + error_findings, measured


def survival_check(rates: GroupRates, *, attribute: ProtectedAttribute, limits: Limits) -> Check:
    """Return the check that dedupe and split kept members and the rest at similar rates."""
    return _check(
        f"survival:{attribute.name}",
        rates.folded,
        at_least=limits.min_disparate_impact,
        sentence=_rates_sentence(rates, attribute, "are kept by dedupe and split"),
        limits=limits,
        comparable=rates.comparable,
    )


def favorable_findings(
    rows: Rows,
    *,
    attribute: ProtectedAttribute,
    favorable: Sequence[int],
    strata: Sequence[Slice],
    limits: Limits,
) -> list[Finding]:
    """Return the disparate impact of favorable labels, in each stratum of the labeled rows.

    The rate is the share of a group's labels that are favorable; rows without a label count in coverage.
    """
    findings = []
    for part in strata:
        is_favorable, group = np.isin(rows.codes[part.rows], favorable), rows.group[part.rows]
        findings.append(
            _impact_finding(
                f"label_impact:{attribute.name}" + (f":{part.name}" if part.name else ""),
                rates=compare_rates(is_favorable, group=group, confidence=limits.confidence),
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


def _error_findings(
    gold_rows: Rows,
    with_gold: np.ndarray,
    *,
    attribute: ProtectedAttribute,
    labels: Sequence[str],
    favorable: Sequence[int],
    limits: Limits,
) -> tuple[list[Finding], ErrorParity, str | None]:
    """Return equal opportunity and equalized odds as findings, what was measured, and the label with the worst odds."""
    scored, n_scored = _favorable_outcome(gold_rows, favorable, n_labels=len(labels))
    errors = compare_errors(
        scored, n_labels=n_scored, confidence=limits.confidence, min_class_rows=limits.min_class_rows
    )
    worst = None if errors.worst_label is None else ("favorable" if favorable else labels[errors.worst_label])

    def relabeled(codes: Codes) -> Rows:
        other, _ = _favorable_outcome(Rows(codes, gold_rows.gold, gold_rows.group), favorable, n_labels=len(labels))
        return other.where(other.codes != ABSTAIN)

    def opportunity_gap(codes: Codes) -> float:
        kept = relabeled(codes)
        return abs(equal_opportunity(kept.gold, kept.codes, group=kept.group, n_labels=n_scored, confidence=0.95).value)

    def odds_gap(codes: Codes) -> float:
        kept = relabeled(codes)
        return equalized_odds(
            kept.gold,
            kept.codes,
            group=kept.group,
            n_labels=n_scored,
            confidence=0.95,
            min_class_rows=limits.min_class_rows,
        ).value

    max_gap, max_odds = limits.max_equal_opportunity, limits.max_equalized_odds
    opportunity = _check(
        f"equal_opportunity:{attribute.name}",
        absolute(errors.opportunity),
        at_most=max_gap,
        sentence=_difference_sentence(errors.opportunity, attribute, favorable=bool(favorable)),
        limits=limits,
    )
    odds = _check(
        f"equalized_odds:{attribute.name}",
        errors.odds,
        at_most=max_odds,
        sentence=_odds_sentence(errors.odds, attribute, worst=worst, kind=errors.worst_rate),
        limits=limits,
    )
    # Fewer true positives harm a group, more false positives too, unless these are favorable outcomes that it gets.
    lower_is_worse = errors.worst_rate == "tpr" or bool(favorable)
    findings = [
        Finding(opportunity, with_gold, opportunity_gap, max_gap, harmed=int(errors.opportunity.value < 0)),
        Finding(odds, with_gold, odds_gap, max_odds, harmed=int((errors.worst_difference < 0) == lower_is_worse)),
    ]
    return findings, errors, worst


def _impact_finding(
    name: str,
    *,
    rates: GroupRates,
    what: str,
    on: np.ndarray,
    group: np.ndarray,
    outcome: Callable[[Codes], np.ndarray],
    attribute: ProtectedAttribute,
    limits: Limits,
    among: Callable[[Codes], np.ndarray] | None = None,
) -> Finding:
    check = _check(
        name,
        rates.folded,
        at_least=limits.min_disparate_impact,
        sentence=_rates_sentence(rates, attribute, what),
        limits=limits,
        comparable=rates.comparable,
    )

    def disparity(codes: Codes) -> float:
        kept = np.ones(len(codes), dtype=bool) if among is None else among(codes)
        hit, side = outcome(codes)[kept], group[kept]
        pair = [hit[side == value].mean() if (side == value).any() else 0.0 for value in (1, 0)]
        return float(1.0 - min(pair) / max(pair)) if max(pair) > 0 else float("nan")

    harmed = 0 if rates.difference.value > 0 else 1
    return Finding(check, on, disparity, 1.0 - limits.min_disparate_impact, harmed)


def _check(
    name: str, estimate: RateEstimate, *, sentence: str, limits: Limits, comparable: bool = True, **bound: float
) -> Check:
    """Return a check that closes on evidence of harm; it is undecided when the smaller group has too few rows."""
    side, limit = next(iter(bound.items()))
    if not comparable:
        sentence += ": both are 0, so no difference can be measured"
    elif estimate.rows < limits.min_group_rows:
        sentence += f": the smaller group has {estimate.rows} rows, at least {limits.min_group_rows} needed: undecided"
    elif not estimate.defined:
        sentence += ": undefined, so harm cannot be ruled out"
    return {"at_least": Check.at_least, "at_most": Check.at_most}[side](
        name,
        estimate.value,
        limit=limit,
        interval=estimate.interval,
        rows=estimate.rows,
        min_rows=limits.min_group_rows,
        undecided_passes_from=limits.min_group_rows,
        required=comparable and (limits.reason is None or (limits.known and not estimate.defined)),
        sentence=sentence,
        details={"attribute": name.split(":")[1], "reason": limits.reason} if limits.reason else {},
    )


def _favorable_outcome(rows: Rows, favorable: Sequence[int], *, n_labels: int) -> tuple[Rows, int]:
    """With favorable labels, reduce classes to 0 (favorable) and 1 (other) and compare only the first."""
    if not favorable:
        return rows, n_labels

    def fold(codes: Codes) -> Codes:
        return np.where(codes == ABSTAIN, ABSTAIN, np.where(np.isin(codes, favorable), 0, 1))

    return Rows(fold(rows.codes), fold(rows.gold), rows.group), 1


def _has_label(codes: Codes) -> np.ndarray:
    return np.asarray(codes != ABSTAIN)


def _rates_sentence(rates: GroupRates, attribute: ProtectedAttribute, what: str) -> str:
    return f"{_share(rates.member)} of {attribute.member} and {_share(rates.rest)} of {attribute.rest} {what}"


def _difference_sentence(estimate: RateEstimate, attribute: ProtectedAttribute, *, favorable: bool) -> str:
    if not estimate.defined:
        return _no_shared_class(attribute)
    side = "as often as" if estimate.value == 0 else _points(estimate) + (
        " less often than" if estimate.value < 0 else " more often than"
    )  # fmt: skip
    if favorable:
        return f"{attribute.member} with a favorable gold label get it {side} {attribute.rest}"
    return f"labeled rows of {attribute.member} are correct {side} those of {attribute.rest}, averaged over classes"


def _odds_sentence(
    estimate: RateEstimate, attribute: ProtectedAttribute, *, worst: str | None, kind: str | None
) -> str:
    if not estimate.defined:
        return _no_shared_class(attribute)
    rate_name = "true-positive" if kind == "tpr" else "false-positive"
    return (
        f"{attribute.member} and {attribute.rest} differ most in the {rate_name} rate of {worst}: {_points(estimate)}"
    )


def _no_shared_class(attribute: ProtectedAttribute) -> str:
    return f"{attribute.member} and {attribute.rest} have no class in common with labeled gold rows"


def _points(estimate: RateEstimate) -> str:
    return f"{100 * abs(estimate.value):.1f} points"


def _share(estimate: RateEstimate) -> str:
    return f"{estimate.value:.1%}" if estimate.defined else "an unknown share"
