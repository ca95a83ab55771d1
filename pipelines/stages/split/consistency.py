"""Gold labels against what the texts of other days predict: confident learning.

Northcutt, Jiang and Chuang (2021), "Confident learning: estimating uncertainty in dataset labels", JAIR 70: the
threshold of a class is the mean probability that its own rows have; a row is a suspect when another class reaches its
threshold. Here that class must also lead the row's own by `MIN_LEAD`, so that a near tie is not a suspect.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
MIN_LEAD = 0.25
MIN_TRAINING_SHARE = 0.3  # of the rows; keys that would leave fewer are not held out


@dataclass(frozen=True)
class Consistency:
    """What the texts predict: per row, NaN where nothing could be learned."""

    probabilities: NDArray[np.float64]  # (n, k)
    predicted: Codes  # (n,) likeliest class, -1 without a prediction
    suspect: Mask  # (n,)
    likelier: Codes  # (n,) the class that a suspect more likely is; -1 elsewhere
    skill: float  # share of the most frequent class's errors that the predictions avoid; NaN without predictions

    @property
    def known(self) -> Mask:
        """Return the rows (n,) that have a prediction."""
        return self.predicted >= 0


def compare_labels(
    weights: Any, codes: Codes, *, n_labels: int, days: Codes, held: Sequence[Codes], folds: int, gap_days: int
) -> Consistency:
    """Compare labels (n,) with out-of-fold predictions from word weights (n, words).

    Rows of one week share a fold, and no fold learns from days within `gap_days` of those it predicts, nor from rows
    that share a key of `held` (-1: no key) with them: what was planted within days, by one writer or in copies of one
    text does not vouch for itself.
    """
    probabilities = np.full((len(codes), n_labels), np.nan)
    for tested, learned in _folds(days, held=held, folds=folds, gap_days=gap_days):
        if len(np.unique(codes[learned])) > 1 and weights.shape[1]:
            model = _fitted(weights[learned], codes[learned])
            probabilities[tested] = 0.0
            probabilities[np.ix_(tested, model.classes_)] = model.predict_proba(weights[tested])
    known = ~np.isnan(probabilities[:, 0])
    predicted = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), -1)
    suspect, likelier = _suspects(probabilities, codes, known=known)
    return Consistency(probabilities, predicted, suspect, likelier, _skill(predicted, codes, known=known))


def _fitted(weights: Any, codes: Codes) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a model that is nearly fitted does
        return LogisticRegression(C=5.0, max_iter=30, tol=1e-2).fit(weights, codes)


def _folds(days: Codes, *, held: Sequence[Codes], folds: int, gap_days: int) -> Sequence[tuple[Codes, Codes]]:
    """Return the rows that each fold predicts, and those that it learns from."""
    if not len(days):
        return []
    first = int(days.min())
    span = int(days.max()) - first + 1
    width = min(7, max(1, span // (2 * folds)))
    fold_of = (days - first) // width % folds
    found = []
    for turn in range(folds):
        tested = fold_of == turn
        near = np.zeros(span + 2 * gap_days + 1, dtype=bool)
        for shift in range(2 * gap_days + 1):
            near[np.unique(days[tested]) - first + shift] = True
        learned = ~tested & ~near[days - first + gap_days]
        for key in held:
            without = learned & ~(np.isin(key, np.unique(key[tested])) & (key >= 0))
            if without.sum() >= MIN_TRAINING_SHARE * len(days):
                learned = without
        if tested.any() and learned.any():
            found.append((np.flatnonzero(tested), np.flatnonzero(learned)))
    return found


def _suspects(probabilities: NDArray[np.float64], codes: Codes, *, known: Mask) -> tuple[Mask, Codes]:
    places = np.arange(len(codes))
    filled = np.nan_to_num(probabilities)
    own = filled[places, codes]
    threshold = np.full(filled.shape[1], np.inf)
    for label in np.unique(codes[known]):
        threshold[label] = own[known & (codes == label)].mean()
    other = np.where(filled >= threshold, filled, 0.0)
    other[places, codes] = 0.0
    best = other.argmax(axis=1)
    suspect = known & (other[places, best] > 0) & (other[places, best] - own >= MIN_LEAD)
    return suspect, np.where(suspect, best, -1)


def _skill(predicted: Codes, codes: Codes, *, known: Mask) -> float:
    if not known.any():
        return float("nan")
    majority = np.bincount(codes[known]).max() / known.sum()
    right = float((predicted[known] == codes[known]).mean())
    return (right - majority) / (1 - majority) if majority < 1 else float("nan")
