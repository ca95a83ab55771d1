"""What is measured for one protected attribute: being labeled, being labeled correctly, and which label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.records.labeling import ABSTAIN
from pipelines.stages.bias_gate.fairness import error_gaps, parity
from pipelines.stats.fairness import (
    Count,
    RateEstimate,
    absolute,
    count,
    difference,
    disparate_impact,
    equal_opportunity,
    equalized_odds,
    odds_pairs,
    rate,
    rate_ratio,
)

NAN = float("nan")


@dataclass(frozen=True)
class Rows:
    """The rows that one attribute is measured on: codes of labels and gold (-1 none), group (1, 0, -1 unknown)."""

    codes: np.ndarray
    gold: np.ndarray
    group: np.ndarray

    @property
    def has_gold(self) -> np.ndarray:
        """Return which rows have a gold label."""
        return self.gold != ABSTAIN

    def where(self, chosen: np.ndarray) -> Rows:
        """Return only the chosen rows."""
        return Rows(self.codes[chosen], self.gold[chosen], self.group[chosen])


@dataclass(frozen=True)
class GroupRates:
    """Rates of an outcome for members and the rest, and AIF360's two comparisons with closed-form intervals."""

    member: RateEstimate
    rest: RateEstimate
    difference: RateEstimate
    impact: RateEstimate
    folded: RateEstimate
    comparable: bool  # whether anybody of either group has the outcome

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {name: getattr(self, name).as_dict() for name in ("member", "rest", "difference", "impact")}


def compare_rates(outcome: np.ndarray, *, group: np.ndarray, confidence: float) -> GroupRates:
    """Compare an outcome between the groups: values by AIF360, intervals in closed form."""
    member, rest = (count(outcome, where=group == value) for value in (1, 0))
    measured = parity(outcome, group=group)
    gap = difference(member, rest, confidence=confidence)
    ratio = disparate_impact(member, rest, confidence=confidence)
    impact = RateEstimate(measured.impact, ratio.interval, ratio.rows)
    return GroupRates(
        member=rate(member, confidence=confidence),
        rest=rate(rest, confidence=confidence),
        difference=RateEstimate(measured.difference, gap.interval, gap.rows),
        impact=impact,
        folded=rate_ratio(member, rest, confidence=confidence),
        comparable=bool(member.hits or rest.hits) or not (member.rows and rest.rows),
    )


def labeled_right(rows: Rows) -> np.ndarray:
    """Return whether each row has a label that equals gold: the favorable outcome of labeling."""
    return (rows.codes != ABSTAIN) & (rows.codes == rows.gold)


@dataclass(frozen=True)
class ErrorParity:
    """Equal opportunity (signed) and equalized odds of labels against gold, and the class where odds differ most."""

    opportunity: RateEstimate
    odds: RateEstimate
    average_odds: float
    worst_label: int | None
    worst_rate: str | None
    worst_difference: float  # signed: members minus the rest; NaN where odds are undefined


def compare_errors(rows: Rows, *, n_labels: int, confidence: float, min_class_rows: int) -> ErrorParity:
    """Compare labeling errors on gold rows that have a label: values by AIF360, one class against the others.

    Equal opportunity and average odds are means over classes, weighted by gold rows; equalized odds is the worst case.
    """
    both = rows.where(rows.has_gold & (rows.codes != ABSTAIN) & (rows.group >= 0))
    kind: dict[str, Any] = {"group": both.group, "n_labels": n_labels}
    opportunity = equal_opportunity(both.gold, both.codes, confidence=confidence, **kind)
    odds = equalized_odds(both.gold, both.codes, confidence=confidence, min_class_rows=min_class_rows, **kind)
    pairs = odds_pairs(both.gold, both.codes, min_class_rows=min_class_rows, **kind)
    gaps = [error_gaps(both.gold == label, both.codes == label, group=both.group) for label in range(n_labels)]
    signed = {
        (pair.label, pair.kind): gaps[pair.label].true_positive
        if pair.kind == "tpr"
        else gaps[pair.label].false_positive
        for pair in pairs
    }
    worst = max(signed, key=lambda place: abs(signed[place]), default=None)
    worst_gap = NAN if worst is None else signed[worst]
    weights = np.array([(both.gold == label).sum() for label in range(n_labels)], dtype=np.float64)
    return ErrorParity(
        opportunity=RateEstimate(
            _weighted_mean([gap.equal_opportunity for gap in gaps], weights), opportunity.interval, opportunity.rows
        ),
        odds=RateEstimate(abs(worst_gap), odds.interval, odds.rows),
        average_odds=_weighted_mean([gap.average_odds for gap in gaps], weights),
        worst_label=worst[0] if worst else None,
        worst_rate=worst[1] if worst else None,
        worst_difference=worst_gap,
    )


def label_shares(rows: Rows, *, labels: Sequence[str], confidence: float) -> dict[str, dict[str, Any]]:
    """Return the rate of each label per group, among labeled rows; reported only, a different mix is not a harm."""
    labeled = rows.where((rows.codes != ABSTAIN) & (rows.group >= 0))
    return {
        label: compare_rates(labeled.codes == place, group=labeled.group, confidence=confidence).as_dict()
        for place, label in enumerate(labels)
    }


def weighted_gap(
    outcomes: Sequence[np.ndarray], *, group: np.ndarray, weights: np.ndarray, confidence: float
) -> RateEstimate:
    """Return the largest |weighted statistical parity difference| over outcomes, with a simultaneous interval.

    Values by AIF360; the interval counts (sum w)^2 / sum w^2 rows per group (Kish 1965), with Bonferroni's correction
    over outcomes.
    """
    sides = (group == 1, group == 0)
    sizes = [float(w.sum() ** 2 / (w**2).sum()) if len(w) else 0.0 for w in (weights[side] for side in sides)]
    rows = int(min(side.sum() for side in sides))
    if not outcomes or min(sizes) <= 0:
        return RateEstimate(NAN, (NAN, NAN), rows)
    gaps = []
    for outcome in outcomes:
        measured = parity(outcome, group=group, weights=weights)
        member, rest = (
            Count(share * size, size)
            for share, size in zip((measured.member_rate, measured.rest_rate), sizes, strict=True)
        )
        closed = difference(member, rest, confidence=1 - (1 - confidence) / len(outcomes))
        gaps.append(absolute(RateEstimate(measured.difference, closed.interval, rows)))
    bounds = (max(gap.interval[0] for gap in gaps), max(gap.interval[1] for gap in gaps))
    return RateEstimate(max(gap.value for gap in gaps), bounds, rows)


def _weighted_mean(values: Sequence[float], weights: np.ndarray) -> float:
    known = np.isfinite(values) & (weights > 0)
    return float(np.average(np.asarray(values)[known], weights=weights[known])) if known.any() else NAN
