"""What both models are trained on: labeled train rows with weights, and gold validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.runtime.store import Store

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrainingSet:
    """Rows to train on, and rows for early stopping, model choice and calibration."""

    train: pd.DataFrame
    targets: Floats  # a probability for each label, (n, labels), rows sum to 1
    weights: Floats  # reweighing times class weight, mean 1
    validation: pd.DataFrame  # rows with a gold label only; may be empty
    gold: NDArray[np.int64]  # index of each validation row's gold label


def read_training_set(store: Store, *, labels: Sequence[str], soft: bool, balanced: bool) -> TrainingSet:
    """Read what stages split, label and bias_gate wrote, and join it; see `training_set`."""
    return training_set(
        store.read_records("split"),
        labeled=store.read_records("label"),
        weights=store.read_records("bias_gate"),
        labels=labels,
        soft=soft,
        balanced=balanced,
    )


def training_set(
    records: pd.DataFrame,
    *,
    labeled: pd.DataFrame,
    weights: pd.DataFrame,
    labels: Sequence[str],
    soft: bool,
    balanced: bool,
) -> TrainingSet:
    """Join the train part to its labels and weights; gold labels of other parts are read from validation only.

    With `soft`, the targets of rows that functions labeled are label probabilities, else the label; a gold label has
    all the probability. With `balanced`, every label has the same total weight. Raises InputError when there are no
    training rows or all have one label.
    """
    train = records[records["part"] == "train"]
    joined = train[["id"]].merge(labeled, on="id", validate="one_to_one")  # a feature may be named like any column
    joined = joined[joined["training_label"].notna()].merge(weights[["id", "weight"]], on="id", validate="one_to_one")
    if joined.empty:
        raise InputError(
            "no training rows: no record of part 'train' has a label to train on and a weight; "
            "see data/label/metrics.json and data/bias_gate/metrics.json"
        )
    code_of = {label: code for code, label in enumerate(labels)}
    codes = np.array([code_of[label] for label in joined["training_label"]], dtype=np.int64)
    if len(set(codes.tolist())) < 2:
        raise InputError(
            f"all {len(joined)} training rows have the label {joined['training_label'].iloc[0]!r}; "
            "expected two or more labels: see data/label/functions.csv"
        )
    targets = np.eye(len(labels))[codes]
    if soft:
        voted = (joined["label_source"] == "functions").to_numpy(dtype=bool)
        shares = joined.loc[voted, [f"soft_{label}" for label in labels]].to_numpy(dtype=np.float64)
        targets[voted] = shares / shares.sum(axis=1, keepdims=True)
    row_weights = joined["weight"].to_numpy(dtype=np.float64)
    if balanced:
        row_weights = row_weights * class_weights(targets, row_weights)
    gold_rows = records[(records["part"] == "validation") & records["gold"].notna()].reset_index(drop=True)
    return TrainingSet(
        train=train[train["id"].isin(joined["id"])].reset_index(drop=True),
        targets=targets,
        weights=row_weights / row_weights.mean(),
        validation=gold_rows,
        gold=np.array([code_of[label] for label in gold_rows["gold"]], dtype=np.int64),
    )


def scarce_labels(data: TrainingSet, *, labels: Sequence[str], min_rows: int) -> dict[str, float]:
    """Return the labels with fewer than `min_rows` training rows, and their rows; soft labels count by their share."""
    rows = np.round(data.targets.sum(axis=0), 3).tolist()
    return {label: n for label, n in zip(labels, rows, strict=True) if n < min_rows}


def class_weights(targets: Floats, weights: Floats) -> Floats:
    """Return a factor per row that gives every present label the same total weight (scikit-learn's "balanced")."""
    mass = (targets * weights[:, None]).sum(axis=0)
    factor = np.divide(mass.sum(), mass * (mass > 0).sum(), out=np.zeros_like(mass), where=mass > 0)
    return np.asarray(targets @ factor)
