"""Give every record its part, or the reason why it has none: no text and no entity is in two parts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.records.records import PARTS
from pipelines.stages.split.timeline import Timeline
from pipelines.text.shingles import Fingerprints, NearDuplicateParams


@dataclass(frozen=True)
class Parted:
    """All records with their place: one of the parts, or the reason why they were discarded."""

    came_in: pd.Series  # ids of the records that came in and of the frozen anchor rows
    records: pd.DataFrame  # canonical columns, the frozen anchor rows in place of their own
    place: pd.Series
    timeline: Timeline
    frozen: bool  # the anchor set came with the champion
    copies: pd.DataFrame  # what dedupe dropped: id, kept_id, and the columns of a record

    @property
    def output(self) -> pd.DataFrame:
        """Return the content of split's `records.parquet`: the records that are in a part."""
        inside = self.place.isin(PARTS)
        rows = self.records[inside].assign(part=self.place[inside].astype("string"))
        return rows.sort_values(["received_at", "id"], kind="stable", ignore_index=True)

    @property
    def left_out(self) -> pd.Series:
        """Return the ids of the records that are in no part."""
        return self.records.loc[~self.place.isin(PARTS), "id"]


def restore_anchor(records: pd.DataFrame, *, anchor: pd.DataFrame) -> pd.DataFrame:
    """Return the records with the frozen anchor rows in place of their own; a column that the anchor lacks is null
    there.
    """
    frozen = anchor.reindex(columns=records.columns).astype(records.dtypes.to_dict())
    return pd.concat([records[~records["id"].isin(frozen["id"])], frozen], ignore_index=True)


def cut_anchor(
    records: pd.DataFrame, *, place: pd.Series, oldest_share: float, drawn_share: float, seed: int
) -> pd.Series:
    """Return the ids of a first anchor set: of each class the same share of the oldest gold rows, by a seeded hash of
    the id.
    """
    gold = records[(place == "train") & records["gold"].notna()].sort_values(["received_at", "id"])
    oldest = gold.head(int(np.ceil(len(gold) * oldest_share)))
    buckets = oldest["id"].map(lambda key: hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).hexdigest())
    rank = buckets.groupby(oldest["gold"]).rank(method="first")
    size = oldest.groupby("gold")["id"].transform("size")
    return oldest.loc[rank <= np.ceil(size * drawn_share), "id"]


def separate(
    records: pd.DataFrame,
    *,
    place: pd.Series,
    frozen: bool,
    fingerprints: Fingerprints,
    near: NearDuplicateParams,
    copies: pd.DataFrame,
) -> pd.Series:
    """Return places in which no text and no entity is in two parts; a removed record gets its reason.

    The earlier side of a boundary yields, so that what tests stays whole; a frozen anchor set yields to nothing.
    `copies` are the rows that dedupe dropped: where one of them is an anchor row, its kept copy goes.
    """
    place = place.copy()
    order = ["anchor", "recent", "validation", "train"] if frozen else ["recent", "validation", "anchor", "train"]
    copied = copies.loc[copies["id"].isin(records.loc[place == "anchor", "id"]), "kept_id"]
    place[records["id"].isin(copied) & place.isin(PARTS) & (place != "anchor")] = "text_in_later_part"
    for turn, part in enumerate(order[:-1]):
        yielding = order[turn + 1 :]
        entities = records.loc[place == part, "entity"].dropna()
        place[place.isin(yielding) & records["entity"].isin(entities)] = "entity_in_later_part"
        given, queries = np.flatnonzero(place == part), np.flatnonzero(place.isin(yielding))
        matches = fingerprints.matching(queries, given=given, near=near)
        place.iloc[np.flatnonzero(matches.twin >= 0)] = "text_in_later_part"
    return place
