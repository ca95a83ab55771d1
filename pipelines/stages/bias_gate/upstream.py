"""What fell out before the gate: which rows each stage dropped, why, and of which group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from pipelines.stages.bias_gate.measure import group_codes


def fates(
    ingested: pd.DataFrame, *, dropped: pd.DataFrame, split_ids: Iterable[str], labeled_ids: Iterable[str]
) -> pd.Series:
    """What became of every accepted record: labeled, unlabeled, a duplicate by reason, or left out by split."""
    reasons = dropped.set_index("id")["reason"] if "reason" in dropped else pd.Series("duplicate", index=dropped["id"])
    ids = ingested["id"]
    fate = pd.Series("left out by split", index=ids.index, dtype="object")
    fate[ids.isin(set(reasons.index)).to_numpy()] = "duplicate: " + ids.map(reasons).astype("object").astype(str)
    fate[ids.isin(set(split_ids)).to_numpy()] = "unlabeled"
    fate[ids.isin(set(labeled_ids)).to_numpy()] = "labeled"
    return fate


def fates_by_group(fate: pd.Series, *, ingested: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """One row a fate: how many records of everybody, of each protected group and of each rest."""
    columns = {"everybody": fate.value_counts()}
    for attribute in attributes:
        codes = group_codes(ingested[attribute])
        for name, value in (("member", 1), ("rest", 0)):
            columns[f"{attribute}_{name}"] = fate[codes == value].value_counts()
    table = pd.DataFrame(columns).fillna(0).astype("int64")
    return table.sort_index().rename_axis("fate").reset_index()


def kept(fate: pd.Series) -> np.ndarray:
    """Which records reached the labeling functions."""
    return fate.isin(["labeled", "unlabeled"]).to_numpy(dtype=bool)
