"""From votes to labels: majority vote, snorkel's label model, and the choice between the two."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipelines.records.labeling import ABSTAIN
from pipelines.records.majority import Ties, break_ties, majority_vote, vote_shares
from pipelines.stats.comparison import Resampling, cluster_rows, share, share_sums

MIN_FUNCTIONS = 3  # snorkel's LabelModel needs three voters to tell their accuracies apart


@dataclass(frozen=True)
class Labeling:
    """Class codes (-1: no label) and soft labels of every row, and how they came about."""

    codes: np.ndarray
    soft: np.ndarray
    method: Literal["majority_vote", "label_model"]
    reason: str
    comparison: dict[str, Any]


def label_model_probabilities(
    matrix: np.ndarray, *, train: np.ndarray, n_labels: int, epochs: int, learning_rate: float, seed: int
) -> np.ndarray:
    """Soft labels of snorkel's LabelModel, fitted without gold on the voted-on rows of `train`; NaN without a vote."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of snorkel's own imports
        from snorkel.labeling.model import LabelModel

    voted = (matrix != ABSTAIN).any(axis=1)
    model = LabelModel(cardinality=n_labels, verbose=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums of small matrices: one thread gives the same bytes everywhere
    try:
        model.fit(
            matrix[train & voted].astype(np.int64), n_epochs=epochs, lr=learning_rate, seed=seed, progress_bar=False
        )
        soft = np.full((len(matrix), n_labels), np.nan)
        if voted.any():
            soft[voted] = model.predict_proba(matrix[voted].astype(np.int64))
    finally:
        torch.set_num_threads(threads)
    return soft


def choose_labeling(
    matrix: np.ndarray,
    *,
    records: pd.DataFrame,
    gold: np.ndarray,
    chosen_on: Sequence[str],
    n_labels: int,
    ties: Ties,
    confidence: float,
    seed: int,
    enabled: bool,
    epochs: int,
    learning_rate: float,
    min_rows: int,
    resamples: int,
) -> Labeling:
    """Majority vote, unless the label model is better on gold rows by a paired test.

    A right label counts 1, a wrong one -1, none 0; the label model is taken where the lower bound of the mean
    difference (bootstrap over texts and entities) is above 0.
    """
    majority = majority_vote(matrix, n_labels=n_labels, ties=ties)
    shares = vote_shares(matrix, n_labels=n_labels)
    rows = np.flatnonzero(records["part"].isin(chosen_on).to_numpy() & (gold != ABSTAIN))
    train = (records["part"] == "train").to_numpy(dtype=bool)
    voters = int((matrix[train] != ABSTAIN).any(axis=0).sum()) if train.any() else 0
    refusal = _why_not(enabled=enabled, rows=len(rows), min_rows=min_rows, voters=voters)
    if refusal is not None:
        return Labeling(majority, shares, "majority_vote", refusal, {"gold_rows": len(rows)})
    soft = label_model_probabilities(
        matrix, train=train, n_labels=n_labels, epochs=epochs, learning_rate=learning_rate, seed=seed
    )
    voted = np.isfinite(soft).all(axis=1)
    modelled = np.where(voted, break_ties(np.where(voted[:, None], soft, 1.0), ties=ties), ABSTAIN)
    clusters = cluster_rows(records.iloc[rows], by=("text", "entity"))
    estimate = Resampling.of(clusters, resamples=resamples, seed=seed).paired_difference(
        share_sums(_score(modelled[rows], gold[rows])),
        share_sums(_score(majority[rows], gold[rows])),
        share,
        confidence=0.5 + confidence / 2,
    )
    comparison = {
        "gold_rows": len(rows),
        "difference": estimate.value,
        "interval": list(estimate.interval) if estimate.interval else None,
        "agreement": float((modelled == majority).mean()),
    }
    if estimate.interval is not None and estimate.lower > 0:
        reason = f"the label model beats majority vote by {estimate.value:.3f} (lower bound {estimate.lower:.3f})"
        return Labeling(modelled, soft, "label_model", reason, comparison)
    bound = f"lower bound {estimate.lower:.3f}" if estimate.interval else "no interval"
    reason = f"the label model does not beat majority vote: difference {estimate.value:.3f}, {bound}"
    return Labeling(majority, shares, "majority_vote", reason, comparison)


def _why_not(*, enabled: bool, rows: int, min_rows: int, voters: int) -> str | None:
    if not enabled:
        return "the label model is switched off"
    if rows < min_rows:
        return f"{rows} gold rows to choose on, {min_rows} wanted: undecided, so majority vote"
    if voters < MIN_FUNCTIONS:
        return f"{voters} labeling functions vote on training rows; the label model needs {MIN_FUNCTIONS}"
    return None


def _score(codes: np.ndarray, gold: np.ndarray) -> np.ndarray:
    return np.where(codes == ABSTAIN, 0.0, np.where(codes == gold, 1.0, -1.0))
