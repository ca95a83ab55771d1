"""Score one model on one test set: quality with intervals, per class and per slice, and calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.stats import calibration
from pipelines.stats.comparison import BootstrapEstimate, Resampling, class_sums, macro_f1, share, share_sums
from pipelines.stats.intervals import wilson
from pipelines.stats.slices import GOLD_SLICE, Slice

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """Probabilities (n, k) of one model on the gold rows of one test set, and gold class codes (n,)."""

    labels: tuple[str, ...]
    gold: Codes
    probabilities: Floats

    @cached_property
    def predicted(self) -> Codes:
        """Return the most likely class of each row."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @cached_property
    def confidence(self) -> Floats:
        """Return the probability of the most likely class."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Return whether the most likely class is the gold label."""
        return np.asarray(self.predicted == self.gold)

    @cached_property
    def class_sums(self) -> Floats:
        """Return the per-row sums that macro-F1 is computed from."""
        return class_sums(self.gold, self.predicted, n_labels=len(self.labels))

    @property
    def usable(self) -> bool:
        """Return whether there are rows and all probabilities are finite."""
        return len(self.gold) > 0 and bool(np.isfinite(self.probabilities).all())


@dataclass(frozen=True)
class Scores:
    """Everything measured of one model on one test set."""

    rows: int
    usable: bool
    estimates: dict[str, BootstrapEstimate]  # accuracy, macro_f1, log_loss, brier, lowest_recall
    classes: tuple[dict[str, Any], ...]
    confusion: tuple[tuple[int, ...], ...]  # gold by predicted
    calibration_error: float
    calibration_null: tuple[float, float]  # mean and 95th percentile of a perfectly calibrated model
    bins: tuple[calibration.ReliabilityBin, ...]

    def as_metrics(self) -> dict[str, Any]:
        """Return the part that `metrics.json` keeps, rounded."""
        values: dict[str, Any] = {"rows": self.rows}
        for name, found in self.estimates.items():
            values[name] = rounded(found.value)
            values[f"{name}_lower"], values[f"{name}_upper"] = rounded(found.lower), rounded(found.upper)
        values["calibration_error"] = rounded(self.calibration_error)
        values["calibration_error_if_perfect"] = rounded(self.calibration_null[0])
        values["calibration_error_if_perfect_p95"] = rounded(self.calibration_null[1])
        values["f1"] = {item["label"]: rounded(item["f1"]) for item in self.classes}
        return values


def score(
    answers: Answers, *, resampling: Resampling, confidence: float, bins: int, null_simulations: int, seed: int
) -> Scores:
    """Return the scores of a model; every metric is NaN without rows or with a NaN among the probabilities."""
    if not answers.usable:
        return _unusable(answers)
    sums = {
        "accuracy": (share_sums(answers.right), share),
        "macro_f1": (answers.class_sums, macro_f1),
        "log_loss": (share_sums(calibration.log_losses(answers.probabilities, answers.gold)), share),
        "brier": (share_sums(calibration.brier_scores(answers.probabilities, answers.gold)), share),
    }
    estimates = {
        name: resampling.estimate(values, statistic, confidence=confidence)
        for name, (values, statistic) in sums.items()
    }
    classes, confusion = by_class(answers)
    estimates["lowest_recall"] = _lowest_recall(answers, resampling=resampling, confidence=confidence)
    confidence_of, right = answers.confidence, answers.right
    null = calibration.calibration_error_null(confidence_of, bins=bins, simulations=null_simulations, seed=seed)
    return Scores(
        rows=len(answers.gold),
        usable=True,
        estimates=estimates,
        classes=tuple(classes),
        confusion=confusion,
        calibration_error=calibration.expected_calibration_error(confidence_of, right, bins=bins),
        calibration_null=null,
        bins=tuple(calibration.reliability(confidence_of, right, bins=bins)),
    )


def by_class(answers: Answers) -> tuple[list[dict[str, Any]], tuple[tuple[int, ...], ...]]:
    """Return precision, recall and F1 per class with Wilson intervals, and the confusion matrix (gold by predicted)."""
    k = len(answers.labels)
    matrix = np.bincount(answers.gold * k + answers.predicted, minlength=k * k).reshape(k, k)
    found = []
    for index, label in enumerate(answers.labels):
        right, true, predicted = (int(n) for n in (matrix[index, index], matrix[index].sum(), matrix[:, index].sum()))
        found.append(
            {
                "label": label,
                "rows": true,
                "predicted": predicted,
                "precision": right / predicted if predicted else None,
                "recall": right / true if true else None,
                "recall_interval": wilson(right, true) if true else None,
                "f1": 2 * right / (predicted + true) if true else None,
            }
        )
    return found, tuple(tuple(int(n) for n in row) for row in matrix)


def by_slice(
    answers: Answers, slices: Sequence[Slice], *, resampling: Resampling, confidence: float
) -> list[dict[str, Any]]:
    """Return accuracy with its interval, and macro-F1, of each slice."""
    if not answers.usable:
        return []
    table = []
    for part in slices:
        found = resampling.estimate(share_sums(answers.right[part.rows]), share, confidence=confidence, rows=part.rows)
        table.append(
            {
                "slice": part.kind,
                "value": part.name,
                "rows": len(part.rows),
                "accuracy": rounded(found.value),
                "lower": rounded(found.lower),
                "upper": rounded(found.upper),
                "macro_f1": rounded(float(macro_f1(answers.class_sums[part.rows].sum(axis=0)))),
            }
        )
    return table


def slices_far_below(
    answers: Answers, slices: Sequence[Slice], *, resampling: Resampling, confidence: float, gap: float
) -> list[str]:
    """Return the slices whose accuracy is, with confidence, below that of the whole set by more than the gap.

    All slices share one error rate (Bonferroni). Gold classes are excluded: the floor on the lowest recall covers them.
    """
    parts = [part for part in slices if part.kind != GOLD_SLICE]
    if not answers.usable or not parts:
        return []
    shared = 1 - (1 - confidence) / len(parts)
    limit = float(answers.right.mean()) - gap
    found = {
        f"{part.kind} = {part.name}": resampling.estimate(
            share_sums(answers.right[part.rows]), share, confidence=shared, rows=part.rows
        ).upper
        for part in parts
    }
    return [name for name, upper in found.items() if upper < limit]


def reliability_table(scores: dict[tuple[str, str], Scores]) -> pd.DataFrame:
    """Return the bins of every reliability diagram, without empty ones."""
    rows = [
        {
            "candidate": candidate,
            "part": part,
            "low": rounded(item.low),
            "high": rounded(item.high),
            "rows": item.rows,
            "confidence": rounded(item.confidence),
            "accuracy": rounded(item.accuracy),
        }
        for (candidate, part), found in scores.items()
        for item in found.bins
        if item.rows
    ]
    return pd.DataFrame(rows, columns=["candidate", "part", "low", "high", "rows", "confidence", "accuracy"])


def rounded(value: Any, digits: int = 6) -> Any:
    """Return a number as files keep it: six digits, None if not finite."""
    if isinstance(value, float):
        return round(value, digits) if np.isfinite(value) else None
    return value


def _lowest_recall(answers: Answers, *, resampling: Resampling, confidence: float) -> BootstrapEstimate:
    """Return the recall of the worst class, with that class's own interval."""
    found = []
    for index in range(len(answers.labels)):
        rows = np.flatnonzero(answers.gold == index)
        if len(rows):
            found.append(resampling.estimate(share_sums(answers.right[rows]), share, confidence=confidence, rows=rows))
    return min(found, key=lambda item: item.value)


def _unusable(answers: Answers) -> Scores:
    nothing = float("nan")
    empty = BootstrapEstimate(nothing, nothing, nothing, nothing, len(answers.gold), 0, 0, 0)
    return Scores(
        rows=len(answers.gold),
        usable=False,
        estimates=dict.fromkeys(("accuracy", "macro_f1", "log_loss", "brier", "lowest_recall"), empty),
        classes=(),
        confusion=(),
        calibration_error=nothing,
        calibration_null=(nothing, nothing),
        bins=(),
    )
