"""Everything the label stage measures about its labels, as values for metrics.json and the gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.records.labeling import ABSTAIN
from pipelines.records.majority import vote_counts
from pipelines.stages.label.checks import class_coverage_checks, class_rows_checks, coverage_check, kappa_check
from pipelines.stages.label.params import LabelParams
from pipelines.stages.label.quality import cohen_kappa
from pipelines.stages.label.voting import Labeling

N_SHOWN = 3


def gold_codes(records: pd.DataFrame, *, labels: Sequence[str], parts: Sequence[str]) -> np.ndarray:
    """Return class codes (n,) of the gold labels of some parts, -1 elsewhere."""
    codes = pd.Categorical(records["gold"].astype("object"), categories=list(labels)).codes.astype(np.int64)
    return np.where(records["part"].isin(list(parts)).to_numpy(dtype=bool), codes, ABSTAIN)


def labeled_rows(
    labeling: Labeling, *, records: pd.DataFrame, matrix: np.ndarray, labels: Sequence[str]
) -> pd.DataFrame:
    """Return the content of records.parquet: id, weak label, soft labels and how many functions voted."""
    names = np.array([*labels, None], dtype=object)  # code -1 is the last: no label
    labeled = pd.DataFrame({"id": records["id"].to_numpy()})
    labeled["weak_label"] = pd.array(names[labeling.codes], dtype="string")
    for place, label in enumerate(labels):
        labeled[f"soft_{label}"] = labeling.soft[:, place]
    labeled["n_votes"] = (matrix != ABSTAIN).sum(axis=1).astype("int16")
    return labeled


def check_labels(
    labeling: Labeling, *, records: pd.DataFrame, gold: np.ndarray, labels: Sequence[str], params: LabelParams
) -> list[Check]:
    """Every check of the label gate."""
    kappa = cohen_kappa(labeling.codes, gold, n_labels=len(labels), confidence=params.confidence)
    is_train = (records["part"] == "train").to_numpy(dtype=bool)
    return [
        coverage_check(
            labeling.codes,
            at_least=params.min_coverage,
            min_rows=params.min_coverage_rows,
            confidence=params.confidence,
        ),
        kappa_check(
            kappa,
            n_gold=int((gold != ABSTAIN).sum()),
            at_least=params.min_kappa,
            min_rows=params.min_kappa_rows,
            parts=params.measured_parts,
        ),
        *class_coverage_checks(
            labeling.codes,
            gold,
            labels=labels,
            at_least=params.min_class_coverage,
            min_rows=params.min_class_gold_rows,
            confidence=params.confidence,
        ),
        *class_rows_checks(labeling.codes, is_train=is_train, labels=labels, at_least=params.min_class_rows),
    ]


def metrics_of(
    labeling: Labeling,
    matrix: np.ndarray,
    *,
    gold: np.ndarray,
    records: pd.DataFrame,
    labels: Sequence[str],
    params: LabelParams,
) -> dict[str, Any]:
    """Return the content of `metrics.json`; the stage chooses the headline."""
    counts = vote_counts(matrix, n_labels=len(labels))
    voted = counts.sum(axis=1) > 0
    most = counts.max(axis=1, keepdims=True)
    kappa = cohen_kappa(labeling.codes, gold, n_labels=len(labels), confidence=params.confidence)
    both = (labeling.codes != ABSTAIN) & (gold != ABSTAIN)
    is_train = (records["part"] == "train").to_numpy(dtype=bool)
    return {
        "rows": len(records),
        "labeled": int((labeling.codes != ABSTAIN).sum()),
        "coverage": _share(labeling.codes != ABSTAIN),
        "method": labeling.method,
        "reason": labeling.reason,
        "tie_policy": params.ties,
        "label_model": labeling.comparison,
        "no_votes": _share(~voted),
        "ties": _share(voted & ((counts == most).sum(axis=1) > 1)),
        "conflicts": _share((counts > 0).sum(axis=1) > 1),
        "gold_rows": int((gold != ABSTAIN).sum()),
        "gold_rows_labeled": int(both.sum()),
        "accuracy": _share((labeling.codes == gold)[both]),
        "kappa": _finite(kappa.value),
        "kappa_low": _finite(kappa.interval[0]),
        "kappa_high": _finite(kappa.interval[1]),
        "train_rows_labeled": {
            label: int((labeling.codes[is_train] == place).sum()) for place, label in enumerate(labels)
        },
        "gold_rows_by_class": {label: int((gold == place).sum()) for place, label in enumerate(labels)},
    }


def disagreements(
    labeling: Labeling, *, votes: pd.DataFrame, records: pd.DataFrame, gold: np.ndarray, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a few gold rows whose label is wrong, to be shown with the verdict."""
    wrong = np.flatnonzero((labeling.codes != ABSTAIN) & (gold != ABSTAIN) & (labeling.codes != gold))
    names = [name for name in votes.columns if name != "id"]
    return [
        {
            "id": str(records["id"].iloc[row]),
            "gold": labels[gold[row]],
            "weak_label": labels[labeling.codes[row]],
            "votes": {name: labels[votes[name].iloc[row]] for name in names if votes[name].iloc[row] != ABSTAIN},
            "text": str(records["text"].iloc[row])[:200],
        }
        for row in wrong[:N_SHOWN]
    ]


def _share(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
