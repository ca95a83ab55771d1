"""Measure the candidates on both test sets and choose one: values in, results out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.models.candidates import BASELINE, BLEND, CANDIDATES, FINETUNE
from pipelines.records.schema import DomainSchema
from pipelines.stages.evaluate.checks import (
    behavior_checks,
    fairness_checks,
    floor_checks,
    prior_check,
    slice_check,
    soundness_checks,
)
from pipelines.stages.evaluate.choice import Choice, choose, with_blend
from pipelines.stages.evaluate.fairness import as_metrics, group_rates, measure_fairness
from pipelines.stages.evaluate.params import EvaluateParams
from pipelines.stages.evaluate.scores import Answers, Scores, by_slice, score, slices_far_below
from pipelines.stats.comparison import BootstrapEstimate, Resampling, class_sums, cluster_rows, macro_f1
from pipelines.stats.slices import slice_rows

logger = logging.getLogger(__name__)
TEST_SETS = ("recent", "anchor")


@dataclass(frozen=True)
class Measurement:
    """What was measured; keys of `scores` are (candidate, part)."""

    choice: Choice
    scores: dict[tuple[str, str], Scores]
    slices: dict[str, list[dict[str, Any]]]  # by candidate, on `recent`
    far_below: list[str]  # slices on which the chosen candidate is far less accurate, on `recent`
    fairness: dict[str, list[dict[str, Any]]]  # by candidate
    groups: list[dict[str, Any]]  # of the chosen candidate
    resamplings: Mapping[str, Resampling]  # by part: every comparison on a test set uses the same resamples
    lift: BootstrapEstimate  # macro-F1 of the chosen candidate minus that of always predicting the most frequent class
    absent: Mapping[str, str]  # candidates that the run does not have, and why

    @property
    def candidates(self) -> tuple[str, ...]:
        """The candidates that were measured, the baseline first."""
        return tuple(name for name in CANDIDATES if name in self.slices)

    def as_metrics(self) -> dict[str, Any]:
        """Return the content of `metrics.json` that comes from gold rows."""
        content: dict[str, Any] = {"choice": self.choice.as_metrics(), "absent": dict(self.absent)}
        for name in self.candidates:
            content[name] = {part: self.scores[name, part].as_metrics() for part in TEST_SETS}
            content[name]["fairness"] = as_metrics(self.fairness[name])
        return content

    def slice_table(self) -> pd.DataFrame:
        """Return the slices of the candidates, one row each."""
        columns = ["candidate", "slice", "value", "rows", "accuracy", "lower", "upper", "macro_f1"]
        rows = [{"candidate": name, **row} for name in self.candidates for row in self.slices[name]]
        return pd.DataFrame(rows, columns=columns)


def measure(
    answers: Mapping[tuple[str, str], Answers],
    tests: Mapping[str, pd.DataFrame],
    *,
    schema: DomainSchema,
    params: EvaluateParams,
    seed: int,
    absent: Mapping[str, str] | None = None,
) -> Measurement:
    """Return all numbers about the candidates; one set of resamples serves every comparison on a test set.

    `absent` names the candidates that have no answers, and why.
    """
    absent = absent or {}
    redraws = {
        part: Resampling.of(cluster_rows(rows, by=params.cluster_by), resamples=params.resamples, seed=seed)
        for part, rows in tests.items()
    }
    scores = {
        (name, part): score(
            found,
            resampling=redraws[part],
            confidence=params.confidence,
            bins=params.bins,
            null_simulations=params.null_simulations,
            seed=seed,
        )
        for (name, part), found in answers.items()
    }
    recent, redraw = tests["recent"], redraws["recent"]
    by_name = {name: answers[name, "recent"] for name in CANDIDATES if (name, "recent") in answers}
    choice = choose(
        by_name[BASELINE],
        by_name.get(FINETUNE),
        resampling=redraw,
        confidence=params.confidence,
        margin=params.margin,
        absent=absent.get(FINETUNE, ""),
    )
    choice = with_blend(
        choice,
        by_name[choice.candidate],
        by_name.get(BLEND),
        resampling=redraw,
        confidence=params.confidence,
        margin=params.margin,
        absent=absent.get(BLEND, "none was made"),
    )
    logger.info("%s", choice.sentence)
    parts = slice_rows(
        recent,
        schema=schema,
        max_categories=params.slices.max_categories,
        length_bands=params.slices.length_bands,
        min_rows=params.slices.min_rows,
    )
    limits, two_sided = params.fairness, 2 * params.confidence - 1
    return Measurement(
        choice=choice,
        scores=scores,
        slices={
            name: by_slice(found, parts, resampling=redraw, confidence=params.confidence)
            for name, found in by_name.items()
        },
        far_below=slices_far_below(
            by_name[choice.candidate],
            parts,
            resampling=redraw,
            confidence=params.confidence,
            gap=params.max_slice_gap,
        ),
        fairness={
            name: measure_fairness(_by_part(answers, tests, name), schema=schema, confidence=two_sided, limits=limits)
            for name in by_name
        },
        groups=group_rates(
            _by_part(answers, tests, choice.candidate), schema=schema, confidence=two_sided, limits=limits
        ),
        resamplings=redraws,
        lift=_lift(by_name[choice.candidate], redraw, confidence=params.confidence),
        absent=absent,
    )


def checks_of(
    found: Measurement,
    answers: Mapping[tuple[str, str], Answers],
    behaviors: Sequence[Mapping[str, Any]],
    *,
    params: EvaluateParams,
) -> list[Check]:
    """Return the checks of the chosen candidate."""
    chosen = found.choice.candidate
    return [
        *soundness_checks(chosen, answers[chosen, "recent"], min_rows=params.min_rows),
        prior_check(found.lift, limit=params.min_lift, min_rows=params.min_rows),
        *floor_checks(
            {part: found.scores[chosen, part] for part in TEST_SETS},
            min_scores=dict((params.min_scores or {}).items()),
            max_losses=dict((params.max_losses or {}).items()),
            min_rows=params.min_rows,
            min_class_rows=params.fairness.min_class_rows,
        ),
        slice_check(found.far_below, gap=params.max_slice_gap, rows=found.scores[chosen, "recent"].rows),
        *behavior_checks(behaviors),
        *fairness_checks(found.fairness[chosen], min_group_rows=params.fairness.min_group_rows),
    ]


def _by_part(
    answers: Mapping[tuple[str, str], Answers], tests: Mapping[str, pd.DataFrame], candidate: str
) -> dict[str, tuple[Answers, pd.DataFrame]]:
    """Return one candidate's answers and the records of each test set."""
    return {part: (answers[candidate, part], rows) for part, rows in tests.items()}


def _lift(answers: Answers, redraw: Resampling, *, confidence: float) -> BootstrapEstimate:
    """Return the macro-F1 of the chosen model minus that of always predicting the most frequent gold label."""
    nothing = float("nan")
    if not answers.usable:
        return BootstrapEstimate(nothing, nothing, nothing, confidence, len(answers.gold), 0, 0, redraw.seed)
    k = len(answers.labels)
    most_frequent = np.bincount(answers.gold, minlength=k).argmax()
    prior = class_sums(answers.gold, np.full(len(answers.gold), most_frequent), n_labels=k)
    return redraw.paired_difference(answers.class_sums, prior, macro_f1, confidence=confidence)
