"""Fairness of predictions between protected groups and the rest; the favorable outcome is a correct prediction.

If the domain declares favorable labels, predicting one is a second favorable outcome, and errors are those about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from pipelines.records.schema import DomainSchema
from pipelines.stages.evaluate.params import FairnessParams
from pipelines.stages.evaluate.scores import Answers, rounded
from pipelines.stats.fairness import (
    Count,
    RateEstimate,
    absolute,
    count,
    detectable_difference,
    detectable_ratio,
    equal_opportunity,
    equalized_odds,
    group_codes,
    odds_pairs,
    rate,
    rate_ratio,
)
from pipelines.stats.slices import comparable_strata

Codes = np.ndarray
Tests = Mapping[str, tuple[Answers, pd.DataFrame]]
WHERE = {
    ("recent",): "on the rolling test set",
    ("recent", "anchor"): "on both test sets together, since the rolling one has too few rows of a group",
}


@dataclass(frozen=True)
class Comparison:
    """Two groups on the gold rows that compare them: `group` is 1, 0, or -1 where it is not known, (n,)."""

    name: str
    member: str
    rest: str
    group: Codes
    answers: Answers
    records: pd.DataFrame
    parts: tuple[str, ...]
    min_rows: int  # of each group; with fewer the comparison is undecided
    reason: str | None = None  # why an undecided check of these groups does not close the gate
    listed: bool = False  # shown, and closing on evidence only
    compared: int = 1  # comparisons that share the confidence

    @property
    def who(self) -> str:
        """Return both groups in words."""
        return f"{self.member} and {self.rest}"

    @property
    def smaller(self) -> int:
        """Return the rows of the smaller group."""
        return int(min((self.group == value).sum() for value in (1, 0)))


def measure_fairness(
    tests: Tests, *, schema: DomainSchema, confidence: float, limits: FairnessParams
) -> list[dict[str, Any]]:
    """Return the metrics of each protected attribute and of pairs of them, with intervals, limits and a sentence.

    `tests` are the answers and the records of each test set. An attribute is compared on `recent`; where a group has
    fewer than `min_group_rows` there, on both sets together.
    """
    if not tests["recent"][0].usable:
        return []
    found: list[dict[str, Any]] = []
    for pair in _attributes(tests, schema=schema, limits=limits):
        found += _errors(pair, schema=schema, confidence=confidence, limits=limits)
        if schema.favorable_labels:
            found += _favorable_impact(pair, schema=schema, confidence=confidence, limits=limits)
    for pair in _intersections(tests, schema=schema, limits=limits):
        shared = 1 - (1 - confidence) / pair.compared
        accuracy = _counts(pair, pair.answers.right)
        found.append(_impact(pair, "disparate_impact", accuracy, what="accuracies", confidence=shared, limits=limits))
    return found


def _attributes(tests: Tests, *, schema: DomainSchema, limits: FairnessParams) -> Iterator[Comparison]:
    for item in schema.protected:
        for parts in WHERE:
            answers, records = pooled(tests, parts)
            group = group_codes(records[item.name])
            reason = limits.undecided_passes.get(item.name)
            pair = Comparison(
                item.name, item.member, item.rest, group, answers, records, parts, limits.min_group_rows, reason
            )
            if pair.smaller >= limits.min_group_rows:
                break
        yield pair


def _intersections(tests: Tests, *, schema: DomainSchema, limits: FairnessParams) -> Iterator[Comparison]:
    """Yield each cell of each pair of attributes against everyone else whose both attributes are known."""
    for one, other in combinations(schema.protected, 2):
        for first, second in product((1, 0), repeat=2):
            names = [(item.member if side else item.rest) for item, side in ((one, first), (other, second))]
            for parts in WHERE:
                answers, records = pooled(tests, parts)
                codes = [group_codes(records[item.name]) for item in (one, other)]
                cell = (codes[0] == first) & (codes[1] == second)
                group = np.where((codes[0] < 0) | (codes[1] < 0), -1, cell.astype(np.int8))
                pair = Comparison(
                    f"{one.name}={first}+{other.name}={second}",
                    " who are also ".join(names),
                    "everyone else",
                    group,
                    answers,
                    records,
                    parts,
                    limits.min_group_rows,
                    listed=True,
                    compared=4,
                )
                if pair.smaller >= limits.min_group_rows:
                    break
            yield pair


def pooled(tests: Tests, parts: Sequence[str]) -> tuple[Answers, pd.DataFrame]:
    """Return the answers and the records of several test sets as one."""
    chosen = [tests[part] for part in parts if part == "recent" or (part in tests and tests[part][0].usable)]
    answers = replace(
        chosen[0][0],
        gold=np.concatenate([found.gold for found, _ in chosen]),
        probabilities=np.concatenate([found.probabilities for found, _ in chosen]),
    )
    return answers, pd.concat([records for _, records in chosen], ignore_index=True)


def _errors(
    pair: Comparison, *, schema: DomainSchema, confidence: float, limits: FairnessParams
) -> list[dict[str, Any]]:
    """Return accuracy, equal opportunity and equalized odds of two groups."""
    gold, predicted, n_labels = pair.answers.gold, pair.answers.predicted, len(pair.answers.labels)
    favorable = [pair.answers.labels.index(label) for label in schema.favorable_labels]
    opportunity_of, odds_of = "true-positive rates, averaged over classes with equal class weights in both", "a class's"
    if favorable:  # code 0 is a favorable label, 1 another; only the first is compared
        gold, predicted = (np.where(np.isin(codes, favorable), 0, 1) for codes in (gold, predicted))
        n_labels, opportunity_of, odds_of = 1, "true-positive rates of favorable labels", "the favorable labels'"
    grouped: dict[str, Any] = {"group": pair.group, "n_labels": n_labels}
    opportunity = equal_opportunity(gold, predicted, **grouped, confidence=confidence)
    odds = equalized_odds(gold, predicted, **grouped, confidence=confidence, min_class_rows=limits.min_class_rows)
    rates = odds_pairs(gold, predicted, **grouped, min_class_rows=limits.min_class_rows)
    both = [(item.member, item.rest) for item in rates]
    hits = [(_sum(p.member for p in rates if p.kind == "tpr"), _sum(p.rest for p in rates if p.kind == "tpr"))]
    max_gap, max_odds = limits.max_equal_opportunity, limits.max_equalized_odds
    return [
        _impact(
            pair,
            "disparate_impact",
            _counts(pair, pair.answers.right),
            what="accuracies",
            confidence=confidence,
            limits=limits,
        ),
        _row(
            pair,
            "equal_opportunity",
            absolute(opportunity),
            side="at_most",
            limit=max_gap,
            sentence=f"difference of {opportunity_of}",
            detectable=detectable_difference(hits, limit=max_gap, confidence=confidence),
        ),
        _row(
            pair,
            "equalized_odds",
            odds,
            side="at_most",
            limit=max_odds,
            sentence=f"largest difference of {odds_of} true- or false-positive rate",
            detectable=detectable_difference(both, limit=max_odds, confidence=confidence),
        ),
    ]


def _favorable_impact(
    pair: Comparison, *, schema: DomainSchema, confidence: float, limits: FairnessParams
) -> list[dict[str, Any]]:
    """Return the disparate impact of predicting a favorable label, in each stratum."""
    favorable = [pair.answers.labels.index(label) for label in schema.favorable_labels]
    is_favorable, found = np.isin(pair.answers.predicted, favorable), []
    for part in comparable_strata(pair.records, schema=schema, group=pair.group, at_least=limits.min_group_rows):
        inside = replace(pair, group=pair.group[part.rows])
        found.append(
            _impact(
                inside,
                "favorable_impact" + (f":{part.name}" if part.name else ""),
                _counts(inside, is_favorable[part.rows]),
                what="rates of favorable predictions" + (f", where {part.name}" if part.name else ""),
                confidence=confidence,
                limits=limits,
            )
        )
    return found


def group_rates(
    tests: Tests, *, schema: DomainSchema, confidence: float, limits: FairnessParams
) -> list[dict[str, Any]]:
    """Return the accuracy of each group with its Wilson interval, on the rows that compare the groups."""
    rows = []
    for pair in _attributes(tests, schema=schema, limits=limits):
        for name, value in ((pair.member, 1), (pair.rest, 0)):
            found = rate(count(pair.answers.right, where=pair.group == value), confidence=confidence)
            rows.append({"attribute": pair.name, "group": name, "where": WHERE[pair.parts], **found.as_dict()})
    return rows


def as_metrics(fairness: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the part that `metrics.json` keeps: attribute, metric, value."""
    kept: dict[str, Any] = {}
    for item in fairness:
        kept.setdefault(item["attribute"], {})[item["metric"]] = rounded(item["value"])
    return kept


def _counts(pair: Comparison, outcome: Codes) -> tuple[Count, Count]:
    member, rest = (count(outcome, where=pair.group == value) for value in (1, 0))
    return member, rest


def _sum(groups: Iterable[Count]) -> Count:
    found = list(groups)
    return Count(sum(group.hits for group in found), sum(group.rows for group in found))


def _impact(
    pair: Comparison,
    metric: str,
    counts: tuple[Count, Count],
    *,
    what: str,
    confidence: float,
    limits: FairnessParams,
) -> dict[str, Any]:
    """Return the ratio of two rates; where the outcome never occurs in either group there is nothing to compare."""
    member, rest = counts
    limit = limits.min_disparate_impact
    never = pair.smaller > 0 and not member.hits and not rest.hits
    values = f" ({member.rate:.1%} and {rest.rate:.1%})" if pair.smaller else ""
    return _row(
        pair,
        metric,
        rate_ratio(member, rest, confidence=confidence),
        side="at_least",
        limit=limit,
        sentence=f"ratio of {what}, lower to higher{values}"
        + (": both are 0, so no difference can be measured" if never else ""),
        detectable=detectable_ratio(member, rest, limit=limit, confidence=confidence),
        comparable=not never,
    )


def _row(
    pair: Comparison,
    metric: str,
    found: RateEstimate,
    *,
    side: str,
    limit: float,
    sentence: str,
    detectable: float | None,
    comparable: bool = True,
) -> dict[str, Any]:
    known = ""
    if comparable and found.rows < pair.min_rows:
        known = f": the smaller group has {found.rows} such rows, at least {pair.min_rows} needed: undecided"
    elif comparable and not found.defined:
        known = ": undefined, so harm cannot be ruled out"
    return {
        "attribute": pair.name,
        "metric": metric,
        "value": rounded(found.value) if found.defined else None,
        "interval": tuple(rounded(float(bound)) for bound in found.interval) if found.defined else None,
        "rows": found.rows,
        "side": side,
        "limit": limit,
        "sentence": f"{pair.who}: {sentence}, {WHERE[pair.parts]}{known}",
        "detectable": rounded(detectable) if detectable is not None else None,
        "closes_undecided": comparable
        and not pair.listed
        and (pair.reason is None or (pair.smaller > 0 and not found.defined)),
        "reason": pair.reason,
    }
