"""The rules of promotion: comparisons of the candidate with a rival, and the checks that follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.gates.verdict import Check
from pipelines.records.schema import DomainSchema
from pipelines.stages.promote.params import PromoteParams
from pipelines.stats.comparison import (
    BootstrapEstimate,
    Resampling,
    class_sums,
    cluster_rows,
    macro_f1,
    share,
    share_sums,
)
from pipelines.stats.slices import slice_rows

Codes = NDArray[np.int64]
ANCHOR_ERROR = "anchor_sampling_error"
ABOVE_ZERO = 1e-9  # better means strictly above zero
Action = Literal["release", "keep", "refuse"]


@dataclass(frozen=True)
class Contest:
    """Predictions of the candidate and a rival for the same gold rows, as class codes (n,)."""

    rows: pd.DataFrame
    gold: Codes
    candidate: Codes
    rival: Codes
    against: str  # description of the rival
    decisions: int = 1  # made on these rows, this one included

    @property
    def usable(self) -> bool:
        """Return whether there are rows to compare."""
        return len(self.gold) > 0


@dataclass(frozen=True)
class Comparison:
    """One paired comparison: both values, their difference with one-sided bounds, and the limit."""

    name: str
    metric: str
    test_set: str
    against: str
    candidate: float
    rival: float
    difference: BootstrapEstimate
    limit: float
    better: bool  # whether the candidate is better at the stricter confidence
    details: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for `decision.json`."""
        found = {key: _rounded(value) for key, value in self.difference.as_dict().items()}
        return {
            "name": self.name,
            "metric": self.metric,
            "test_set": self.test_set,
            "against": self.against,
            "candidate": _rounded(self.candidate),
            "rival": _rounded(self.rival),
            "difference": found,
            "limit": self.limit,
            "better": self.better,
            "details": self.details,
        }


@dataclass(frozen=True)
class SliceHarm:
    """Slices compared: the table, the harmed slices, and whether the rest is fine while the worst slice is harmed."""

    table: tuple[dict[str, Any], ...]
    harmed: tuple[str, ...]
    singled_out: bool


def compare_macro_f1(
    contest: Contest, *, name: str, test_set: str, limit: float, labels: Sequence[str], params: PromoteParams, seed: int
) -> Comparison:
    """Return the macro-F1 of the candidate minus the rival's, by a paired bootstrap over clusters of rows."""
    k = len(labels)
    mine, other = (class_sums(contest.gold, codes, n_labels=k) for codes in (contest.candidate, contest.rival))
    redraw = _redraw(contest, params=params, seed=seed)
    found = redraw.paired_difference(mine, other, macro_f1, confidence=params.confidence)
    strict = redraw.paired_difference(mine, other, macro_f1, confidence=params.better_confidence)
    return Comparison(
        name=name,
        metric="macro_f1",
        test_set=test_set,
        against=contest.against,
        candidate=float(macro_f1(mine.sum(axis=0))),
        rival=float(macro_f1(other.sum(axis=0))),
        difference=found,
        limit=limit,
        better=bool(strict.lower > 0),
        details={"better_confidence": params.better_confidence, "better_lower": _rounded(strict.lower)},
    )


def compare_slices(contest: Contest, *, schema: DomainSchema, params: PromoteParams, seed: int) -> SliceHarm:
    """Return the accuracy of every slice, and the slices with evidence of harm.

    A slice is harmed when the upper bound of its difference is below minus the margin. The bounds share one error rate
    among all slices (Bonferroni), so equally good models are stopped by some slice at most that often.
    """
    parts = slice_rows(
        contest.rows,
        schema=schema,
        max_categories=params.slices.max_categories,
        length_bands=params.slices.length_bands,
        min_rows=params.slices.min_rows,
    )
    redraw = _redraw(contest, params=params, seed=seed)
    confidence = 1 - (1 - params.confidence) / max(1, len(parts))
    mine, other = contest.candidate == contest.gold, contest.rival == contest.gold
    table, harmed = [], []
    worst: tuple[float, Codes] | None = None
    for part in parts:
        rows = part.rows
        found = redraw.paired_difference(
            share_sums(mine[rows]), share_sums(other[rows]), share, confidence=confidence, rows=rows
        )
        is_harmed = bool(found.upper < -params.slice_margin)
        if is_harmed:
            harmed.append(f"{part.kind} = {part.name}")
            worst = min(worst or (found.value, rows), (found.value, rows), key=lambda item: item[0])
        table.append(
            {
                "slice": part.kind,
                "value": part.name,
                "rows": len(rows),
                "candidate": _rounded(float(mine[rows].mean())),
                "rival": _rounded(float(other[rows].mean())),
                "difference": _rounded(found.value),
                "lower": _rounded(found.lower),
                "upper": _rounded(found.upper),
                "confidence": _rounded(confidence),
                "harmed": is_harmed,
            }
        )
    singled_out = False
    if worst is not None:
        rest = np.delete(mine.astype(float) - other, worst[1])
        singled_out = bool(len(rest)) and bool(rest.mean() >= -params.slice_margin)
    return SliceHarm(tuple(table), tuple(harmed), singled_out)


def release_check(found: Comparison, *, params: PromoteParams, first: bool) -> Check:
    """Return the check on `recent` for a release: not worse by more than the margin, or better if that is required."""
    superiority = params.superiority and not first
    lower = found.details["better_lower"] if superiority else found.difference.lower
    upper = found.difference.upper
    if first:
        sentence = f"macro-F1 on the rolling test set is at least {100 * found.limit:g} points above {found.against}"
    elif superiority:
        sentence = f"macro-F1 on the rolling test set is higher than that of {found.against}"
    else:
        sentence = f"macro-F1 on the rolling test set is at most {-100 * found.limit:g} points below {found.against}"
    bounds = (lower if lower is not None else float("nan"), upper)
    return Check.at_least(
        found.name,
        found.difference.value,
        limit=ABOVE_ZERO if superiority else found.limit,
        interval=bounds,
        rows=found.difference.rows,
        min_rows=params.min_rows,
        required=True,
        sentence=sentence,
    )


def anchor_check(found: Comparison) -> Check:
    """Return the floor on `anchor`: at most the margin below the best champion so far, over any number of releases.

    The value itself, not its interval, must be within the margin. The rows and the best champion's predictions are
    frozen, so losses that are each too small to prove cannot add up, and a candidate that gains elsewhere is not
    stopped only by the sampling error of a small test set.
    """
    return Check.at_least(
        found.name,
        found.difference.value,
        limit=found.limit,
        rows=found.difference.rows,
        min_rows=1,
        required=True,
        sentence=f"macro-F1 on the fixed test set is at most {-100 * found.limit:g} points below {found.against}",
        details={"difference_interval": list(found.difference.interval or ())},
    )


def anchor_error_check(contest: Contest, *, labels: Sequence[str], params: PromoteParams, seed: int) -> Check:
    """Return whether the fixed test set is large enough for its margin to mean something over a chain of releases.

    A release may measure up to the margin below the best champion, and be worse than measured by the sampling error. So
    a chain of releases loses at most the sum of both, with the stated confidence for all decisions made on this set
    together (Bonferroni). The sampling error may not exceed the margin, unless the candidate is shown to lose no more.
    """
    k = len(labels)
    mine, other = (class_sums(contest.gold, codes, n_labels=k) for codes in (contest.candidate, contest.rival))
    confidence = 1 - (1 - params.confidence) / contest.decisions
    found = _redraw(contest, params=params, seed=seed).paired_difference(mine, other, macro_f1, confidence=confidence)
    error, loss = (found.value - found.lower, max(0.0, -found.lower)) if found.interval else (np.nan, np.nan)
    margin = 100 * params.anchor_margin
    bound = f"{margin + 100 * error:.1f} points" if np.isfinite(error) else "an unknown number of points"
    return Check.at_most(
        ANCHOR_ERROR,
        min(error, loss),
        limit=params.anchor_margin,
        rows=found.rows,
        min_rows=1,
        required=True,
        sentence=f"a chain of releases can lose at most {bound} of macro-F1 against {contest.against}: the margin of "
        f"{margin:g} points and the sampling error of {found.rows} rows of the fixed test set, with "
        f"{params.confidence:.0%} confidence for {contest.decisions} decisions on it",
        details={
            "confidence": _rounded(confidence),
            "decisions": contest.decisions,
            "sampling_error": _rounded(float(error)),
            "loss_not_excluded": _rounded(float(loss)),
        },
    )


def _redraw(contest: Contest, *, params: PromoteParams, seed: int) -> Resampling:
    return Resampling.of(cluster_rows(contest.rows, by=params.cluster_by), resamples=params.resamples, seed=seed)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value
