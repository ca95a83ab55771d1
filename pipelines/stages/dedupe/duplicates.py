"""Split records into those kept and those that repeat a kept one, by exact similarity and without chains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.text.shingles import NearDuplicateParams, fingerprint


@dataclass(frozen=True)
class Deduplicated:
    """Kept and dropped records: together they are what came in, which the gate checks."""

    came_in: pd.Series  # ids
    kept: pd.DataFrame
    dropped: pd.DataFrame  # id, kept_id, reason (exact | near), similarity, and the other columns of a record
    n_blank: int  # records without a word; they are always kept
    n_cut: int  # records that met the limit of comparisons

    @property
    def n_records(self) -> int:
        """How many records came in."""
        return len(self.came_in)

    @property
    def n_texts(self) -> int:
        """How many records with text came in."""
        return self.n_records - self.n_blank


def split_duplicates(records: pd.DataFrame, *, near: NearDuplicateParams, seed: int, threads: int) -> Deduplicated:
    """Keep the earliest of each text (by received_at, then id); the order of the rows that come in does not matter."""
    ordered = records.sort_values(["received_at", "id"], kind="stable", ignore_index=True)
    ids = ordered["id"].astype("string")
    with_text = np.flatnonzero(ordered["text"].str.strip() != "")  # a domain without texts costs nothing
    fingerprints = fingerprint(ordered["text"].iloc[with_text].tolist(), near=near, seed=seed, threads=threads)
    matches = fingerprints.repeated(near=near)
    found = matches.twin >= 0
    repeats = np.zeros(len(ordered), np.bool_)
    repeats[with_text[found]] = True
    dropped = ordered[repeats].reset_index(drop=True)
    dropped.insert(1, "kept_id", ids.iloc[with_text[matches.twin[found]]].reset_index(drop=True))
    dropped.insert(2, "reason", pd.Series(np.where(matches.exact[found], "exact", "near"), dtype="string"))
    dropped.insert(3, "similarity", matches.similarity[found])
    n_blank = len(ordered) - int((~fingerprints.blank).sum())
    kept = ordered[~repeats].reset_index(drop=True)
    return Deduplicated(came_in=records["id"], kept=kept, dropped=dropped, n_blank=n_blank, n_cut=matches.n_cut)
