"""What split did, counted: parts, boundaries, and what was discarded by reason and by protected group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pipelines.records.records import PARTS
from pipelines.records.schema import ProtectedAttribute
from pipelines.stages.split.parts import Parted


def summarize(parted: Parted, *, labels: Sequence[str], protected: Sequence[ProtectedAttribute]) -> dict[str, Any]:
    """The metrics of split."""
    records, place, line = parted.records, parted.place, parted.timeline
    gold = records["gold"]
    return {
        "rows_in": len(records),
        "parts": {part: int((place == part).sum()) for part in PARTS},
        "discarded": _counts(place[~place.isin(PARTS)]),
        "by_group": _by_group(records, place=place, protected=protected),
        "gold_by_class": {
            part: {label: int(((place == part) & (gold == label).fillna(False)).sum()) for label in labels}
            for part in PARTS
        },
        "anchor_frozen": parted.frozen,
        "embargo_days": line.embargo_days,
        "boundaries": {
            "train_end": _day(line.train_end),
            "validation_start": _day(line.validation_start),
            "recent_start": _day(line.recent_start),
            "gold_end": _day(line.gold_end),
        },
    }


def _by_group(
    records: pd.DataFrame, *, place: pd.Series, protected: Sequence[ProtectedAttribute]
) -> dict[str, dict[str, dict[str, int]]]:
    """For each protected attribute and group, rows by part or reason."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for attribute in protected:
        value = records[attribute.name]
        members = {attribute.member: value == 1, attribute.rest: value == 0, "unknown": value.isna()}
        counts[attribute.name] = {name: _counts(place[inside.fillna(False)]) for name, inside in members.items()}
    return counts


def _counts(place: pd.Series) -> dict[str, int]:
    return {str(name): int(n) for name, n in sorted(place.value_counts().items())}


def _day(moment: pd.Timestamp) -> str:
    return moment.strftime("%Y-%m-%d")
