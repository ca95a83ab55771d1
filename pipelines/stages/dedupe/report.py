"""What fell out of dedupe, counted by reason and by protected group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pipelines.records.schema import ProtectedAttribute
from pipelines.stages.dedupe.duplicates import Deduplicated

REASONS = ("exact", "near")


def count_dropped(
    records: pd.DataFrame, *, dropped: pd.DataFrame, protected: Sequence[ProtectedAttribute]
) -> pd.DataFrame:
    """One row a group and reason: `attribute, group, reason, rows_in, dropped, share`; the first group is everybody."""
    reasons = records["id"].map(dropped.set_index("id")["reason"])
    everybody = pd.Series("everybody", index=records.index)
    groupings = [("all", everybody, ["everybody"])]
    for attribute in protected:
        named = records[attribute.name].map({1: attribute.member, 0: attribute.rest}).astype("object").fillna("unknown")
        groupings.append((attribute.name, named, [attribute.member, attribute.rest, "unknown"]))
    rows = []
    for name, groups, members in groupings:
        for member in members:
            inside = groups == member
            for reason in REASONS:
                n = int((reasons[inside] == reason).sum())
                total = int(inside.sum())
                rows.append((name, member, reason, total, n, n / total if total else 0.0))
    return pd.DataFrame(rows, columns=["attribute", "group", "reason", "rows_in", "dropped", "share"])


def summarize(found: Deduplicated, *, table: pd.DataFrame) -> dict[str, Any]:
    """The metrics of dedupe: rows in, kept, blank, and dropped by reason and by group."""
    by_group: dict[str, dict[str, dict[str, int]]] = {}
    for row in table[table["attribute"] != "all"].itertuples():
        counts = by_group.setdefault(str(row.attribute), {}).setdefault(
            str(row.group), {"rows_in": int(str(row.rows_in))}
        )
        counts[str(row.reason)] = int(str(row.dropped))
    return {
        "rows_in": found.n_records,
        "kept": len(found.kept),
        "dropped": {reason: int((found.dropped["reason"] == reason).sum()) for reason in REASONS},
        "dropped_share": len(found.dropped) / max(found.n_records, 1),
        "dropped_by_group": by_group,
        "blank": found.n_blank,
        "clusters": int(found.dropped["kept_id"].nunique()),
        "comparisons_cut": found.n_cut,
    }
