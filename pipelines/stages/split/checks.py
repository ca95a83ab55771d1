"""The gate of split: nothing leaks across parts, no feature reveals the label, every part is large enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.gates.verdict import Check
from pipelines.records.records import PARTS
from pipelines.stages.split.params import LeakParams, PartRows
from pipelines.stages.split.timeline import Timeline
from pipelines.stats.intervals import wilson

GOLD_PARTS = ("validation", "recent", "anchor")


def crossing_checks(*, ids: int, texts: int, entities: int, rows: int) -> list[Check]:
    """Check that no row, no text (exactly or nearly) and no entity is in two parts."""
    shared: dict[str, Any] = {"limit": 0, "rows": rows, "min_rows": 1, "required": True}
    return [
        Check.at_most("rows_across_parts", ids, **shared, sentence=f"{ids} rows are in two parts"),
        Check.at_most("texts_across_parts", texts, **shared, sentence=f"{texts} rows repeat a text of another part"),
        Check.at_most("entities_across_parts", entities, **shared, sentence=f"{entities} entities are in two parts"),
    ]


def embargo_check(parted: pd.DataFrame, *, timeline: Timeline) -> Check:
    """Check that the first test row comes at least the embargo's days after the last training row."""
    train = parted.loc[parted["part"] == "train", "received_at"]
    tests = parted.loc[parted["part"].isin(["validation", "recent"]), "received_at"]
    both = len(train) > 0 and len(tests) > 0
    gap = (tests.min() - train.max()) / pd.Timedelta(days=1) if both else None
    sentence = (
        f"{gap:.1f} days lie between the last training row and the first validation or recent row"
        if gap is not None
        else f"no training row, or no gold row to test on, is around an embargo of {timeline.embargo_days} days: "
        "widen the window (ingest.start), wait for gold labels, or see below why the rows are in no part"
    )
    return Check.at_least(
        "embargo_days", gap, limit=timeline.embargo_days, rows=len(train) + len(tests), min_rows=1, required=True,
        sentence=sentence,
    )  # fmt: skip


def size_checks(
    parted: pd.DataFrame,
    *,
    min_part_rows: PartRows,
    min_class_rows: int,
    labels: Sequence[str],
    left_out: Mapping[str, int],
) -> list[Check]:
    """Check that each part is large enough and its gold holds two classes or more; small classes are undecided."""
    checks = []
    reasons = [f"{n} {reason.replace('_', ' ')}" for reason, n in sorted(left_out.items(), key=lambda item: -item[1])]
    others = f"; in no part: {', '.join(reasons)}" if reasons else ""
    for part in PARTS:
        n, least = int((parted["part"] == part).sum()), int(getattr(min_part_rows, part))
        checks.append(
            Check.at_least(
                f"{part}_rows", n, limit=least, rows=n, min_rows=0, required=True,
                sentence=f"{n} rows are in {part}; {least} are needed (split.min_part_rows.{part})"
                + (others if n < least else ""),
            )
        )  # fmt: skip
    for part in GOLD_PARTS:
        gold = parted.loc[parted["part"] == part, "gold"]
        counts = {label: int((gold == label).sum()) for label in labels}
        n_classes, smallest = sum(n > 0 for n in counts.values()), min(counts.values())
        few = [f"{label} {n}" for label, n in counts.items() if n < min_class_rows]
        checks.append(
            Check.at_least(
                f"{part}_classes", n_classes, limit=2, rows=len(gold), min_rows=0, required=True,
                sentence=f"gold of {part} holds {n_classes} of {len(labels)} classes",
            )
        )  # fmt: skip
        # Few rows of one class make its figures uncertain but do not stop the run: undecided at worst.
        checks.append(
            Check.at_least(
                f"{part}_class_rows", smallest, limit=0, rows=smallest, min_rows=min_class_rows, required=False,
                sentence=f"fewer than {min_class_rows} gold rows in {part}: {', '.join(few) or 'no class'}",
                details=counts,
            )
        )  # fmt: skip
    return checks


def leak_checks(
    gold_rows: pd.DataFrame,
    *,
    hits: Mapping[str, NDArray[np.bool_]],
    pairs: Mapping[str, NDArray[np.bool_]],
    leak: LeakParams,
) -> list[Check]:
    """Check that no feature alone, where it has a value, and no pair of features predicts gold better than the limit.

    Where one class is so frequent that always naming it comes near the limit, a feature must get right `max_skill`
    of what that guess gets wrong before it is a leak: the limit is max(accuracy, majority + (1 - majority) * skill).
    """
    gold, checks = gold_rows["gold"], []
    for name, right in hits.items():
        every = _leak_check(f"leak_{name}", right, gold=gold, leak=leak, what=f"{name} alone")
        filled = gold_rows[name].notna().to_numpy(dtype=bool)
        if not every.closes and leak.min_rows <= filled.sum() < len(filled):
            every = max(
                every,
                _leak_check(
                    every.name, right[filled], gold=gold[filled], leak=leak, what=f"{name} alone, where it has a value,"
                ),
                key=lambda check: check.closes,
            )
        checks.append(every)
    # Of pairs only what closes is a check: there are many, and each holds a feature that has its own.
    found = [_leak_check(f"leak_{name}", right, gold=gold, leak=leak, what=name) for name, right in pairs.items()]
    alone = {check.name.removeprefix("leak_") for check in checks if check.outcome == "failed"}
    new = [check for check in found if check.outcome == "failed" and not alone & set(check.name[5:].split("+"))]
    return [*checks, *new]


def _leak_check(name: str, right: NDArray[np.bool_], *, gold: pd.Series, leak: LeakParams, what: str) -> Check:
    majority = float(gold.value_counts(normalize=True).iloc[0]) if len(gold) else 0.0
    share = float(right.mean()) if len(right) else None
    sentence = "no gold row to predict" if share is None else (
        f"{what} predicts {share:.1%} of the gold labels out of fold, the most frequent class {majority:.1%}"
    )  # fmt: skip
    return Check.at_most(
        name,
        share,
        limit=max(leak.max_accuracy, majority + (1 - majority) * leak.max_skill),
        interval=wilson(int(right.sum()), len(right)),
        rows=len(right),
        min_rows=leak.min_rows,
        required=True,
        sentence=sentence,
        details={"majority_share": majority},
    )
