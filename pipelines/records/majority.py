"""Majority vote over a vote matrix, in the words and with the ties of snorkel."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

from pipelines.records.labeling import ABSTAIN

Ties = Literal["abstain", "random"]
TOLERANCE = 1e-5  # probabilities nearer than this are a tie, as in snorkel.utils.probs_to_preds


def vote_counts(matrix: np.ndarray, *, n_labels: int) -> np.ndarray:
    """How many functions vote for each label: (rows, labels)."""
    return np.stack([(matrix == label).sum(axis=1) for label in range(n_labels)], axis=1)


def majority_probabilities(matrix: np.ndarray, *, n_labels: int) -> np.ndarray:
    """Snorkel's MajorityLabelVoter: the labels with most votes share the row; without a vote all labels do."""
    counts = vote_counts(matrix, n_labels=n_labels)
    most = counts == counts.max(axis=1, keepdims=True)
    return np.asarray(most / most.sum(axis=1, keepdims=True))


def break_ties(probabilities: np.ndarray, *, ties: Ties) -> np.ndarray:
    """The likeliest label of each row; a tie is -1, or drawn by a hash of the row number as snorkel does."""
    best = np.abs(probabilities - probabilities.max(axis=1, keepdims=True)) < TOLERANCE
    is_tie = best.sum(axis=1) > 1
    codes = np.where(is_tie, ABSTAIN, best.argmax(axis=1)).astype(np.int64)
    if ties == "random":
        for row in np.flatnonzero(is_tie):
            tied = np.flatnonzero(best[row])
            codes[row] = tied[_hash(int(row)) % len(tied)]
    return codes


def majority_vote(matrix: np.ndarray, *, n_labels: int, ties: Ties) -> np.ndarray:
    """The label of most votes; -1 without a vote, and on a tie where ties abstain."""
    codes = break_ties(majority_probabilities(matrix, n_labels=n_labels), ties=ties)
    return np.where((matrix != ABSTAIN).any(axis=1), codes, ABSTAIN)


def vote_shares(matrix: np.ndarray, *, n_labels: int) -> np.ndarray:
    """Soft labels of majority vote: each label's share of the votes, NaN in rows without any."""
    counts = vote_counts(matrix, n_labels=n_labels).astype(np.float64)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)


def _hash(row: int) -> int:
    return int(hashlib.sha1(str(row).encode(), usedforsecurity=False).hexdigest(), 16)
