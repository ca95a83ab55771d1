"""The rules of promotion: what a candidate is compared with, and what follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.gates.verdict import Check
from pipelines.records.domain import DomainSchema
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
ABOVE_ZERO = 1e-9  # better means above zero, not at it
Action = Literal["release", "keep", "refuse"]


@dataclass(frozen=True)
class Contest:
    """The same gold rows answered by the candidate and by a rival; answers and truth are class indices."""

    rows: pd.DataFrame
    gold: Codes
    candidate: Codes
    rival: Codes
    against: str  # who the rival is, for people

    @property
    def usable(self) -> bool:
        """Whether there is anything to compare."""
        return len(self.gold) > 0


@dataclass(frozen=True)
class Comparison:
    """One paired comparison: both values, their difference with one-sided bounds, and the limit it is held to."""

    name: str
    metric: str
    test_set: str
    against: str
    candidate: float
    rival: float
    difference: BootstrapEstimate
    limit: float
    better: bool  # the candidate may be called better
    details: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `decision.json`."""
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
    """What happens to slices: the table, the harmed ones, and whether the worst one stands alone."""

    table: tuple[dict[str, Any], ...]
    harmed: tuple[str, ...]
    singled_out: bool


def compare_macro_f1(
    contest: Contest, *, name: str, test_set: str, limit: float, labels: Sequence[str], params: PromoteParams, seed: int
) -> Comparison:
    """Macro-F1 of the candidate minus the rival's, by a paired bootstrap over clusters of rows."""
    k = len(labels)
    mine, other = (class_sums(contest.gold, said, n_labels=k) for said in (contest.candidate, contest.rival))
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
    """Accuracy slice by slice, and the slices with evidence of harm.

    A slice is harmed when the upper bound of its difference is below minus the margin. The bounds share one error rate
    among all slices (Bonferroni), so that equally good models are stopped by some slice at most that often.
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
    """The check on `recent` that a release has to pass: not worse than the margin, or better where that is asked."""
    superiority = params.superiority and not first
    lower = found.details["better_lower"] if superiority else found.difference.lower
    upper = found.difference.upper
    if first:
        sentence = f"macro-F1 on recent gold rows is {100 * found.limit:g} points or more above {found.against}"
    elif superiority:
        sentence = f"macro-F1 on recent gold rows is higher than that of {found.against}"
    else:
        sentence = f"macro-F1 on recent gold rows is at most {-100 * found.limit:g} points below {found.against}"
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
    """The floor on `anchor`: never further below the best champion so far than the margin, however many releases.

    The value itself is held to the margin, without its interval: the rows are frozen and the best champion's answers
    too, so losses that are each too small to prove cannot add up, and a candidate that gains elsewhere is not stopped
    by a small anchor set's chance alone.
    """
    return Check.at_least(
        found.name,
        found.difference.value,
        limit=found.limit,
        rows=found.difference.rows,
        min_rows=1,
        required=True,
        sentence=f"macro-F1 on the frozen anchor rows is at most {-100 * found.limit:g} points below {found.against}",
        details={"difference_interval": list(found.difference.interval or ())},
    )


def _redraw(contest: Contest, *, params: PromoteParams, seed: int) -> Resampling:
    return Resampling.of(cluster_rows(contest.rows, by=params.cluster_by), resamples=params.resamples, seed=seed)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value
