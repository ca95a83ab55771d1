"""The checks of evaluate: floors, behaviors and fairness of the chosen candidate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.gates.verdict import Check
from pipelines.stages.evaluate.scores import Answers, Scores
from pipelines.stats.comparison import BootstrapEstimate

TEST_SET_NAMES = {"recent": "rolling test set", "anchor": "fixed test set"}


def soundness_checks(candidate: str, answers: Answers, *, min_rows: int) -> list[Check]:
    """Return whether the test set can decide anything: finite numbers, enough rows, at least two classes."""
    bad = 0 if len(answers.gold) == 0 else int((~np.isfinite(answers.probabilities).all(axis=1)).sum())
    classes = len(set(answers.gold.tolist()))
    rows = len(answers.gold)
    return [
        Check.at_least(
            "recent_rows",
            rows,
            limit=min_rows,
            rows=rows,
            min_rows=0,
            required=True,
            sentence=f"the rolling test set has {rows} gold rows; at least {min_rows} are needed",
        ),
        Check.at_least(
            "recent_classes",
            classes,
            limit=2,
            rows=rows,
            min_rows=0,
            required=True,
            sentence=f"{classes} of {len(answers.labels)} labels have gold rows in the rolling test set",
        ),
        Check.equals(
            "undefined_answers",
            bad,
            limit=0,
            rows=rows,
            min_rows=0,
            required=True,
            sentence=f"{candidate} gives {bad} rows of the rolling test set a probability that is not a number",
        ),
    ]


def evidence_check(written: int, *, asked: int, metrics: str) -> Check:
    """Return the check that every prediction is written; `metrics`, the digest of metrics.json, ties them together."""
    return Check.equals(
        "answers_written",
        written,
        limit=asked,
        rows=written,
        min_rows=0,
        required=True,
        sentence=f"{written} of {asked} predictions of all candidates for the gold rows of both test sets are kept",
        details={"metrics": metrics},
    )


def prior_check(lift: BootstrapEstimate, *, limit: float, min_rows: int) -> Check:
    """Return the check that the candidate is far above always predicting the most frequent class."""
    return Check.at_least(
        "recent_macro_f1_above_prior",
        lift.value,
        limit=limit,
        interval=_interval(lift),
        rows=lift.rows,
        min_rows=min_rows,
        required=True,
        sentence="macro-F1 above that of always predicting the most frequent class",
    )


def floor_checks(
    scores: Mapping[str, Scores],
    *,
    min_scores: Mapping[str, float],
    max_losses: Mapping[str, float],
    min_rows: int,
    min_class_rows: int,
) -> list[Check]:
    """Return the floors and ceilings of the candidate: proven on `recent`, not disproven on `anchor`.

    The lowest recall closes only on evidence, because it is about one class, and that class needs `min_class_rows`.
    """
    checks = []
    for part, found in scores.items():
        recent = part == "recent"
        for limits, make, side in ((min_scores, Check.at_least, "at least"), (max_losses, Check.at_most, "at most")):
            for name, limit in sorted(limits.items()):
                estimate = found.estimates[name]
                rows, needed, of = found.rows, min_rows if recent else 0, ""
                if name == "lowest_recall" and (worst := _worst_class(found)) is not None:
                    rows, needed, of = int(worst["rows"]), min_class_rows, f" ({worst['label']})"
                checks.append(
                    make(
                        f"{part}_{name}",
                        estimate.value,
                        limit=limit,
                        interval=_interval(estimate),
                        rows=rows,
                        min_rows=needed,
                        required=recent and name != "lowest_recall",
                        undecided_passes_from=None if recent and name != "lowest_recall" else 1,
                        sentence=f"{name.replace('_', ' ')}{of} on the {TEST_SET_NAMES[part]}, {side} {limit:g} wanted",
                    )
                )
    return checks


def _worst_class(scores: Scores) -> Mapping[str, Any] | None:
    """Return the class of this test set with the lowest recall."""
    found = [item for item in scores.classes if item["rows"] and item["recall"] == item["recall"]]
    return min(found, key=lambda item: (item["recall"], item["rows"]), default=None)


def slice_check(far_below: Sequence[str], *, gap: float, rows: int) -> Check:
    """Return the check that no slice of the test set is far less accurate than the whole."""
    which = f": {', '.join(far_below)}" if far_below else ""
    return Check.equals(
        "slices_far_below",
        len(far_below),
        limit=0,
        rows=rows,
        min_rows=0,
        required=True,
        sentence=f"{len(far_below) or 'no'} slices are, with confidence, more than {100 * gap:g} points less accurate than all "
        f"rows{which}",
    )


def behavior_checks(behaviors: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Return one check per behavioral test: its pass rate is at least the rate it requires."""
    return [
        Check.at_least(
            f"behavior_{item['name']}",
            item["pass_rate"],
            limit=item["at_least"],
            rows=item["cases"],
            min_rows=1,
            required=True,
            sentence=item["sentence"],
            details={"kind": item["kind"], "failures": item["failures"]},
        )
        for item in behaviors
    ]


def fairness_checks(fairness: Sequence[Mapping[str, Any]], *, min_group_rows: int) -> list[Check]:
    """Return the fairness checks: closed on evidence of harm, and undecided, which closes too, when a group is too small.

    Undecided does not close where the domain names a reason, and where the outcome never occurs in either group.
    """
    checks = []
    for item in fairness:
        make = Check.at_least if item["side"] == "at_least" else Check.at_most
        checks.append(
            make(
                f"{item['attribute']}_{item['metric']}",
                item["value"],
                limit=item["limit"],
                interval=item["interval"],
                rows=item["rows"],
                min_rows=min_group_rows,
                required=item["closes_undecided"],
                undecided_passes_from=min_group_rows,
                sentence=item["sentence"],
                details={"attribute": item["attribute"], "detectable": item["detectable"]}
                | ({"reason": item["reason"]} if item["reason"] else {}),
            )
        )
    return checks


def _interval(estimate: BootstrapEstimate) -> tuple[float, float]:
    """Return the bounds, NaN without an interval (one cluster), which make the check undecided."""
    return estimate.interval or (float("nan"), float("nan"))
