"""Leaks: rows, texts or entities in two parts, and a single feature that reveals the label."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.records.records import PARTS
from pipelines.records.schema import Feature
from pipelines.text.shingles import Fingerprints, NearDuplicateParams

MISSING, MANY = "\0missing", 200
MAX_PAIRS = 45  # of ten features


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


Hits = dict[str, NDArray[np.bool_]]


def feature_hits(
    gold_rows: pd.DataFrame, *, features: Sequence[Feature], folds: int, rows_per_bin: int, seed: int
) -> Hits:
    """Return for each feature where it alone predicts gold out of fold: the majority label of its category or bin.

    An unseen category gets the most frequent label: a column of ids predicts nothing. Rows of one entity share a fold.
    """
    return _hits(gold_rows, [(feature,) for feature in features], folds=folds, rows_per_bin=rows_per_bin, seed=seed)


def pair_hits(
    gold_rows: pd.DataFrame, *, features: Sequence[Feature], folds: int, rows_per_bin: int, seed: int
) -> Hits:
    """Return for each pair of features, at most `MAX_PAIRS`, where both together predict gold out of fold.

    The bins of a number are as many times wider as two features have more cells than one.
    """
    pairs = list(combinations(features, 2))[:MAX_PAIRS]
    return _hits(gold_rows, pairs, folds=folds, rows_per_bin=5 * rows_per_bin, seed=seed)


def _hits(
    gold_rows: pd.DataFrame, groups: Sequence[tuple[Feature, ...]], *, folds: int, rows_per_bin: int, seed: int
) -> Hits:
    gold = gold_rows["gold"].astype(str).to_numpy()
    owners = gold_rows["entity"].fillna(gold_rows["id"]).astype(str)
    fold_of = np.array([_hash_bucket(owner, seed=seed) % folds for owner in owners], np.int64)
    hits = {"+".join(feature.name for feature in group): np.zeros(len(gold), np.bool_) for group in groups}
    for turn in range(folds):
        learned, tested = fold_of != turn, fold_of == turn
        if not learned.any() or not tested.any():
            continue
        used = {feature.name for group in groups for feature in group}
        cells = {name: categories(gold_rows[name], learned=learned, rows_per_bin=rows_per_bin) for name in used}
        for group, right in zip(groups, hits.values(), strict=True):
            both = cells[group[0].name]
            if len(group) == 2:
                both = both.astype(str).astype(object) + "\0" + cells[group[1].name].astype(str).astype(object)
            right[tested] = _predicted(both, gold=gold, learned=learned)[tested] == gold[tested]
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
