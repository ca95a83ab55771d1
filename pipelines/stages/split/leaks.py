"""Leaks: rows, texts or entities in two parts, and a single feature that reveals the label."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.records.records import PARTS
from pipelines.records.schema import Feature
from pipelines.text.shingles import Fingerprints, NearDuplicateParams

MISSING, MANY = "\0missing", 200


def ids_across(parted: pd.DataFrame) -> int:
    """Count rows whose id occurs before."""
    return int(parted["id"].duplicated().sum())


def entities_across(parted: pd.DataFrame) -> int:
    """Count entities that are in more than one part."""
    return int((parted.dropna(subset="entity").groupby("entity")["part"].nunique() > 1).sum())


def texts_across(parted: pd.DataFrame, *, fingerprints: Fingerprints, near: NearDuplicateParams) -> int:
    """Count rows that repeat a text of another part, exactly or nearly; each pair of parts is compared once."""
    repeats: set[int] = set()
    for turn, part in enumerate(PARTS):
        others = PARTS[turn + 1 :]
        given, queries = np.flatnonzero(parted["part"] == part), np.flatnonzero(parted["part"].isin(others))
        matches = fingerprints.matching(queries, given=given, near=near)
        repeats.update(np.flatnonzero(matches.twin >= 0).tolist())
    return len(repeats)


def single_feature_hits(
    gold_rows: pd.DataFrame, *, features: Iterable[Feature], folds: int, rows_per_bin: int, seed: int
) -> dict[str, NDArray[np.bool_]]:
    """Return for each feature where it alone predicts gold out of fold: the majority label of its category or bin.

    An unseen category gets the most frequent label: a column of ids predicts nothing. Rows of one entity share a fold.
    """
    gold = gold_rows["gold"].astype(str).to_numpy()
    owners = gold_rows["entity"].fillna(gold_rows["id"]).astype(str)
    fold_of = np.array([_hash_bucket(owner, seed=seed) % folds for owner in owners], np.int64)
    hits = {}
    for feature in features:
        right = np.zeros(len(gold), np.bool_)
        values = gold_rows[feature.name]
        for turn in range(folds):
            learned, tested = fold_of != turn, fold_of == turn
            if learned.any() and tested.any():
                cells = categories(values, learned=learned, rows_per_bin=rows_per_bin)
                right[tested] = _predicted(cells, gold=gold, learned=learned)[tested] == gold[tested]
        hits[feature.name] = right
    return hits


def categories(values: pd.Series, *, learned: NDArray[np.bool_], rows_per_bin: int) -> NDArray[np.object_]:
    """Return values (n,) as categories; a number with many values is cut into bins of about `rows_per_bin` learned
    rows each.

    Bins so fine find a label written as a number with noise; the few rows of each cost an honest number some accuracy.
    """
    if not pd.api.types.is_numeric_dtype(values) or values.nunique() <= min(MANY, len(values) // rows_per_bin):
        return values.astype("object").where(values.notna(), MISSING).map(str).to_numpy(dtype=object)
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    known = numbers[learned & ~np.isnan(numbers)]
    edges = np.unique(
        np.quantile(known, np.linspace(0, 1, max(len(known) // rows_per_bin, 1) + 1)[1:-1], method="lower")
    )
    cells = np.searchsorted(edges, numbers).astype(object)
    cells[np.isnan(numbers)] = MISSING
    return cells


def _hash_bucket(owner: str, *, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{owner}".encode(), digest_size=8).digest(), "big")


def _predicted(cells: NDArray[np.object_], *, gold: NDArray, learned: NDArray[np.bool_]) -> NDArray[np.object_]:
    counts = pd.crosstab(cells[learned], gold[learned])
    best = counts.idxmax(axis=1)  # a tie goes to the label first in the alphabet
    return np.asarray(pd.Series(cells).map(best).fillna(str(counts.sum().idxmax())), dtype=object)
