"""How well texts alone reveal a yes/no attribute of a person, and which words do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.text.scripts import UNSPACED

# Letters and digits apart, letters with slashes together: "34/W/F" is 34 and w/f, "34F" is 34 and f.
TOKEN = rf"[{UNSPACED}]|(?:(?![{UNSPACED}\d_])\w)+(?:/(?:(?![{UNSPACED}\d_])\w)+)*|\d+"
FOLDS, MIN_TEXTS, MAX_TERMS, SHOWN_TERMS = 4, 5, 20000, 8


@dataclass(frozen=True)
class Probe:
    """Out-of-fold area under the ROC curve with its 95 % interval; NaN where a group has too few rows."""

    auc: float
    interval: tuple[float, float]
    rows: int
    members: int
    terms: tuple[dict[str, Any], ...]  # term, side (member | rest), share of each group's texts

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, null for NaN."""
        known = bool(np.isfinite(self.auc))
        return {
            "auc": self.auc if known else None,
            "interval": list(self.interval) if known else None,
            "rows": self.rows,
            "members": self.members,
            "terms": list(self.terms),
        }


def probe_attribute(
    texts: Sequence[str],
    group: NDArray[np.int64],
    owners: Sequence[str],
    *,
    max_rows: int,
    min_group_rows: int,
    seed: int,
) -> Probe:
    """Predict the group (1, 0, -1 unknown) of each text by logistic regression on its words, out of fold.

    Texts of one owner share a fold. At most `max_rows` texts, those with the lowest hash of their owner, are used.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    hashes = np.array(
        [
            int.from_bytes(hashlib.blake2b(f"{seed}:{owner}".encode(), digest_size=7).digest(), "big")
            for owner in owners
        ],
        dtype=np.int64,
    )
    chosen = np.flatnonzero(group >= 0)
    chosen = chosen[np.argsort(hashes[chosen], kind="stable")][:max_rows]
    y, fold_of = group[chosen], hashes[chosen] % FOLDS
    members = int(y.sum())
    if min(members, len(y) - members) < min_group_rows:
        return Probe(float("nan"), (float("nan"), float("nan")), len(y), members, ())
    words = TfidfVectorizer(
        ngram_range=(1, 2), token_pattern=TOKEN, min_df=MIN_TEXTS, max_features=MAX_TERMS, sublinear_tf=True
    )
    try:
        table = words.fit_transform([texts[place] for place in chosen.tolist()]).tocsr()
    except ValueError:  # of scikit-learn, where no word is in so many texts
        return Probe(0.5, (0.5, 0.5), len(y), members, ())
    score = np.full(len(y), np.nan)
    for turn in range(FOLDS):
        tested, learned = np.flatnonzero(fold_of == turn), np.flatnonzero(fold_of != turn)
        if len(tested) and 0 < y[learned].sum() < len(learned):
            model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=100, tol=1e-5)
            score[tested] = model.fit(table[learned], y[learned]).decision_function(table[tested])
    known = ~np.isnan(score)
    auc = area(score[known], y[known])
    whole = LogisticRegression(C=1.0, class_weight="balanced", max_iter=100, tol=1e-5).fit(table, y)
    terms = _terms(words.get_feature_names_out(), whole.coef_[0], table > 0, y)
    return Probe(auc, auc_interval(auc, members, len(y) - members), len(y), members, terms)


def area(score: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Return the area under the ROC curve, NaN unless both groups are there."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, score)) if 0 < y.sum() < len(y) else float("nan")


def auc_interval(auc: float, members: int, rest: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % interval of Hanley and McNeil (1982), "The meaning and use of the area under a ROC curve"."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (members - 1) * (q1 - auc**2) + (rest - 1) * (q2 - auc**2)) / (members * rest)
    half = z * float(np.sqrt(max(variance, 0.0)))
    return max(0.0, auc - half), min(1.0, auc + half)


def _terms(
    names: NDArray[Any], weight: NDArray[np.float64], has: Any, y: NDArray[np.int64]
) -> tuple[dict[str, Any], ...]:
    """Return the terms that reveal most of each group: by weight times the difference of the two shares of texts."""
    member = np.asarray(has[np.flatnonzero(y == 1)].mean(axis=0)).ravel()
    rest = np.asarray(has[np.flatnonzero(y == 0)].mean(axis=0)).ravel()
    found = []
    for side, sign in (("member", 1), ("rest", -1)):
        strength = sign * weight * np.maximum(sign * (member - rest), 0)
        for place in np.argsort(-strength, kind="stable")[:SHOWN_TERMS]:
            if strength[place] > 0:
                shares = {"member_share": float(member[place]), "rest_share": float(rest[place])}
                found.append({"term": str(names[place]), "side": side, **shares})
    return tuple(found)
