"""The active-learning queue: rows whose label a person should look at first, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.records.labeling import ABSTAIN

REASONS = ("suspect_gold", "tie", "conflict", "no_votes", "low_margin")


def margins(soft: np.ndarray) -> np.ndarray:
    """The lead of the likeliest label over the second; 0 in rows without a vote."""
    ordered = np.sort(np.nan_to_num(soft, nan=0.0), axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def queue_for_people(
    records: pd.DataFrame,
    *,
    matrix: np.ndarray,
    codes: np.ndarray,
    soft: np.ndarray,
    labels: Sequence[str],
    shown: Sequence[str],
    rows: int,
    margin_below: float,
) -> pd.DataFrame:
    """Up to `rows` training or validation rows, those without gold first, the least certain of each reason in turn.

    Rows whose gold label split suspects (`suspect_gold`, if there is such a column) come with those without gold. A
    tie has a vote and no label, a conflict has votes for several labels, a low margin leads by less than
    `margin_below`. Taking the reasons in turn keeps the many rows without votes from crowding out the rest.
    """
    voted = matrix != ABSTAIN
    n_votes = voted.sum(axis=1)
    masked = np.where(voted, matrix, np.int16(-1))
    lowest = np.where(voted, matrix, np.iinfo(np.int16).max).min(axis=1)
    disagree = (n_votes > 0) & (masked.max(axis=1) != lowest)
    margin = margins(soft)
    suspected = records["suspect_gold"] if "suspect_gold" in records else np.zeros(len(records), dtype=bool)
    reason = np.select(
        [suspected, n_votes == 0, codes == ABSTAIN, disagree, margin < margin_below],
        ["suspect_gold", "no_votes", "tie", "conflict", "low_margin"],
        default="",
    )
    queue = records[["id", "part", "received_at", "text", "gold", *shown]].assign(
        reason=reason,
        margin=margin,
        n_votes=n_votes.astype(np.int16),
        weak_label=pd.array([labels[c] if c != ABSTAIN else None for c in codes], dtype="string"),
    )
    asked = records["part"].isin(["train", "validation"]) & (queue["reason"] != "")
    queue = queue[asked.to_numpy()].sort_values(["margin", "id"], kind="stable")
    queue["has_gold"] = queue["gold"].notna() & (queue["reason"] != "suspect_gold")
    queue["turn"] = queue.groupby(["has_gold", "reason"]).cumcount()
    queue["place"] = queue["reason"].map({name: place for place, name in enumerate(REASONS)})
    queue = queue.sort_values(["has_gold", "turn", "place"], kind="stable").head(rows)
    return queue.drop(columns=["has_gold", "turn", "place"]).reset_index(drop=True)
