"""Fairness of predictions between protected groups and the rest; the favorable outcome is a correct prediction.

If the domain declares favorable labels, predicting one is a second favorable outcome, and errors are those about it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipelines.records.schema import DomainSchema, ProtectedAttribute
from pipelines.stages.evaluate.params import FairnessParams
from pipelines.stages.evaluate.scores import Answers, rounded
from pipelines.stats.fairness import (
    RateEstimate,
    absolute,
    count,
    disparate_impact,
    equal_opportunity,
    equalized_odds,
    four_fifths,
    rate,
)
from pipelines.stats.slices import comparable_strata


def measure_fairness(
    answers: Answers,
    records: pd.DataFrame,
    *,
    schema: DomainSchema,
    confidence: float,
    limits: FairnessParams,
) -> list[dict[str, Any]]:
    """Return the metrics of each protected attribute, with intervals, limits and a sentence."""
    if not answers.usable:
        return []
    found: list[dict[str, Any]] = []
    gold, predicted, n_labels = answers.gold, answers.predicted, len(answers.labels)
    favorable = [answers.labels.index(label) for label in schema.favorable_labels]
    opportunity_of, odds_of = "true-positive rates, averaged over classes with equal class weights in both", "a class's"
    if favorable:  # code 0 is a favorable label, 1 another; only the first is compared
        gold, predicted = (np.where(np.isin(codes, favorable), 0, 1) for codes in (gold, predicted))
        n_labels, opportunity_of, odds_of = 1, "true-positive rates of favorable labels", "the favorable labels'"
    for attribute in schema.protected:
        group = records[attribute.name].astype("Int8").fillna(-1).to_numpy(np.int8)
        member, rest = (count(answers.right, where=group == value) for value in (1, 0))
        impact = four_fifths(disparate_impact(member, rest, confidence=confidence))
        opportunity = equal_opportunity(gold, predicted, group=group, n_labels=n_labels, confidence=confidence)
        odds = equalized_odds(
            gold,
            predicted,
            group=group,
            n_labels=n_labels,
            confidence=confidence,
            min_class_rows=limits.min_class_rows,
        )
        who = f"{attribute.member} and {attribute.rest}"
        found += [
            _row(
                attribute.name,
                "disparate_impact",
                impact,
                side="at_least",
                limit=limits.min_disparate_impact,
                sentence=f"{who}: ratio of accuracies, lower to higher ({member.rate:.1%} and {rest.rate:.1%})",
            ),
            _row(
                attribute.name,
                "equal_opportunity",
                absolute(opportunity),
                side="at_most",
                limit=limits.max_equal_opportunity,
                sentence=f"{who}: difference of {opportunity_of}",
            ),
            _row(
                attribute.name,
                "equalized_odds",
                odds,
                side="at_most",
                limit=limits.max_equalized_odds,
                sentence=f"{who}: largest difference of {odds_of} true- or false-positive rate",
            ),
        ]
        if favorable:
            found += _favorable_impact(
                answers, records, attribute, group, schema=schema, confidence=confidence, limits=limits
            )
    return found


def _favorable_impact(
    answers: Answers,
    records: pd.DataFrame,
    attribute: ProtectedAttribute,
    group: np.ndarray,
    *,
    schema: DomainSchema,
    confidence: float,
    limits: FairnessParams,
) -> list[dict[str, Any]]:
    """Return the disparate impact of predicting a favorable label, in each stratum."""
    favorable = [answers.labels.index(label) for label in schema.favorable_labels]
    is_favorable, found = np.isin(answers.predicted, favorable), []
    for part in comparable_strata(records, schema=schema, group=group, at_least=limits.min_group_rows):
        member, rest = (count(is_favorable[part.rows], where=group[part.rows] == value) for value in (1, 0))
        found.append(
            _row(
                attribute.name,
                "favorable_impact" + (f":{part.name}" if part.name else ""),
                four_fifths(disparate_impact(member, rest, confidence=confidence)),
                side="at_least",
                limit=limits.min_disparate_impact,
                sentence=f"{attribute.member} and {attribute.rest}: ratio of rates of favorable predictions, lower to "
                f"higher ({member.rate:.1%} and {rest.rate:.1%})" + (f", where {part.name}" if part.name else ""),
            )
        )
    return found


def group_rates(
    answers: Answers, records: pd.DataFrame, *, schema: DomainSchema, confidence: float
) -> list[dict[str, Any]]:
    """Return the accuracy of each group with its Wilson interval."""
    rows = []
    for attribute in schema.protected:
        group = records[attribute.name].astype("Int8").fillna(-1).to_numpy(np.int8)
        for name, value in ((attribute.member, 1), (attribute.rest, 0)):
            found = rate(count(answers.right, where=group == value), confidence=confidence)
            rows.append({"attribute": attribute.name, "group": name, **found.as_dict()})
    return rows


def as_metrics(fairness: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the part that `metrics.json` keeps: attribute, metric, value."""
    kept: dict[str, Any] = {}
    for item in fairness:
        kept.setdefault(item["attribute"], {})[item["metric"]] = rounded(item["value"])
    return kept


def _row(attribute: str, metric: str, found: RateEstimate, *, side: str, limit: float, sentence: str) -> dict[str, Any]:
    return {
        "attribute": attribute,
        "metric": metric,
        "value": rounded(found.value) if found.defined else None,
        "interval": tuple(rounded(float(bound)) for bound in found.interval) if found.defined else None,
        "rows": found.rows,
        "side": side,
        "limit": limit,
        "sentence": sentence,
    }
