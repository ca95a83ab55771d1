"""Row outcomes: what happened to every accepted record before the gate, and to which group it belongs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipelines.stats.fairness import group_codes


def row_outcomes(
    ingested: pd.DataFrame, *, dropped: pd.DataFrame, split_ids: Iterable[str], labeled_ids: Iterable[str]
) -> pd.Series:
    """Return the outcome of every accepted record: labeled, unlabeled, a duplicate by reason, or left out by split."""
    reasons = dropped.set_index("id")["reason"] if "reason" in dropped else pd.Series("duplicate", index=dropped["id"])
    ids = ingested["id"]
    outcomes = pd.Series("left out by split", index=ids.index, dtype="object")
    outcomes[ids.isin(set(reasons.index)).to_numpy()] = "duplicate: " + ids.map(reasons).astype("object").astype(str)
    outcomes[ids.isin(set(split_ids)).to_numpy()] = "unlabeled"
    outcomes[ids.isin(set(labeled_ids)).to_numpy()] = "labeled"
    return outcomes


def outcomes_by_group(
    outcomes: pd.Series, *, ingested: pd.DataFrame, attributes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one row per outcome: the number of all records, and of each protected group and its rest."""
    columns = {"all": outcomes.value_counts()}
    for attribute in attributes:
        codes = group_codes(ingested[attribute])
        for name, value in (("member", 1), ("rest", 0)):
            columns[f"{attribute}_{name}"] = outcomes[codes == value].value_counts()
    table = pd.DataFrame(columns).fillna(0).astype("int64").sort_index()
    return [{"outcome": name, **row} for name, row in table.rename(index=str).T.to_dict().items()]


def kept(outcomes: pd.Series) -> np.ndarray:
    """Return which records reached the labeling functions."""
    return outcomes.isin(["labeled", "unlabeled"]).to_numpy(dtype=bool)
