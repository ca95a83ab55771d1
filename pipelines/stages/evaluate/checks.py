"""The checks of evaluate: floors, behaviors and fairness of the chosen candidate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.gates.verdict import Check
from pipelines.stages.evaluate.scores import Answers, Scores
from pipelines.stats.comparison import BootstrapEstimate


def soundness_checks(candidate: str, answers: Answers, *, min_rows: int) -> list[Check]:
    """Whether the test can say anything: usable numbers, enough rows, two classes or more."""
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
            sentence=f"the recent test set has {rows} gold rows; fewer than {min_rows} decide nothing",
        ),
        Check.at_least(
            "recent_classes",
            classes,
            limit=2,
            rows=rows,
            min_rows=0,
            required=True,
            sentence=f"{classes} of {len(answers.labels)} labels have gold rows in the recent test set",
        ),
        Check.equals(
            "undefined_answers",
            bad,
            limit=0,
            rows=rows,
            min_rows=0,
            required=True,
            sentence=f"{candidate} gives {bad} recent rows a probability that is not a number",
        ),
    ]


def evidence_check(written: int, *, asked: int, metrics: str) -> Check:
    """Every answer is written down; `metrics`, the digest of the figures, ties this verdict to them and to its run."""
    return Check.equals(
        "answers_written",
        written,
        limit=asked,
        rows=written,
        min_rows=0,
        required=True,
        sentence="each candidate's answer to each gold row of both test sets is kept",
        details={"metrics": metrics},
    )


def prior_check(lift: BootstrapEstimate, *, limit: float, min_rows: int) -> Check:
    """The candidate has learned something: it is far above always answering the most frequent class."""
    return Check.at_least(
        "recent_macro_f1_above_prior",
        lift.value,
        limit=limit,
        interval=_interval(lift),
        rows=lift.rows,
        min_rows=min_rows,
        required=True,
        sentence="macro-F1 above that of always answering the most frequent class",
    )


def floor_checks(
    scores: Mapping[str, Scores],
    *,
    floors: Mapping[str, float],
    ceilings: Mapping[str, float],
    min_rows: int,
    min_class_rows: int,
) -> list[Check]:
    """Floors and ceilings of the candidate: proven on `recent`, not disproven on `anchor`.

    The lowest recall is one class's: it closes on evidence only, and a class of fewer than `min_class_rows` gives none.
    """
    checks = []
    for part, found in scores.items():
        recent = part == "recent"
        for limits, make, side in ((floors, Check.at_least, "at least"), (ceilings, Check.at_most, "at most")):
            for name, limit in sorted(limits.items()):
                estimate = found.estimates[name]
                rows, least, of = found.rows, min_rows if recent else 0, ""
                if name == "lowest_recall" and (worst := _worst_class(found)) is not None:
                    rows, least, of = int(worst["rows"]), min_class_rows, f", that of {worst['label']},"
                checks.append(
                    make(
                        f"{part}_{name}",
                        estimate.value,
                        limit=limit,
                        interval=_interval(estimate),
                        rows=rows,
                        min_rows=least,
                        required=recent and name != "lowest_recall",
                        undecided_passes_from=None if recent and name != "lowest_recall" else 1,
                        sentence=f"{name.replace('_', ' ')}{of} on {part} is {side} {limit:g}",
                    )
                )
    return checks


def _worst_class(scores: Scores) -> Mapping[str, Any] | None:
    """The class of this test set that is found least."""
    found = [item for item in scores.classes if item["rows"] and item["recall"] == item["recall"]]
    return min(found, key=lambda item: (item["recall"], item["rows"]), default=None)


def slice_check(far_below: Sequence[str], *, gap: float, rows: int) -> Check:
    """No named part of the test set is answered far worse than the whole."""
    which = f"; these are: {', '.join(far_below)}" if far_below else ""
    return Check.equals(
        "slices_far_below",
        len(far_below),
        limit=0,
        rows=rows,
        min_rows=0,
        required=True,
        sentence=f"no slice's accuracy is beyond doubt more than {100 * gap:g} points below that of all rows{which}",
    )


def behavior_checks(behaviors: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Each behavioral test of the domain passes as often as it asks for."""
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
    """Groups are answered alike: closed on evidence of harm, undecided where a group is too small to see it."""
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
                required=item["value"] is None and item["rows"] >= min_group_rows,  # rows enough, and no number
                undecided_passes_from=min_group_rows,
                sentence=item["sentence"],
            )
        )
    return checks


def _interval(estimate: BootstrapEstimate) -> tuple[float, float]:
    """Without an interval (one cluster) nothing is proven: NaN bounds make the check undecided."""
    return estimate.interval or (float("nan"), float("nan"))
