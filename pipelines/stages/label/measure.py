"""Everything the label stage measures about its labels, as values for metrics.json and the gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipelines.gates.conservation import check_conservation
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


TrainOn = Literal["weak", "gold_where_present", "gold_only"]


def training_codes(
    labeling: Labeling, *, records: pd.DataFrame, labels: Sequence[str], train_on: TrainOn
) -> tuple[np.ndarray, np.ndarray]:
    """Return the class code (n,) that each row of part `train` is trained on, and whether it is a gold label (n,).

    The code is -1 for rows without such a label and for every other part: what tests or chooses is never trained on.
    """
    gold = gold_codes(records, labels=labels, parts=("train",))
    weak = np.where((records["part"] == "train").to_numpy(dtype=bool), labeling.codes, ABSTAIN)
    if train_on == "weak":
        return weak, np.zeros(len(weak), dtype=bool)
    is_gold = gold != ABSTAIN
    return (gold if train_on == "gold_only" else np.where(is_gold, gold, weak)), is_gold


def labeled_rows(
    labeling: Labeling, *, records: pd.DataFrame, matrix: np.ndarray, labels: Sequence[str], train_on: TrainOn
) -> pd.DataFrame:
    """Return the content of records.parquet: id, weak label, soft labels, how many functions voted; and the label that
    each training row is trained on, its source and the probability that the source gives it.
    """
    names = np.array([*labels, None], dtype=object)  # code -1 is the last: no label
    codes, is_gold = training_codes(labeling, records=records, labels=labels, train_on=train_on)
    sources = (
        pd.Series("functions", index=range(len(codes)), dtype="string").mask(is_gold, "gold").mask(codes == ABSTAIN)
    )
    own = labeling.soft[np.arange(len(codes)), np.maximum(codes, 0)]
    confidence = np.select([codes == ABSTAIN, is_gold], [np.nan, 1.0], default=own)
    labeled = pd.DataFrame({"id": records["id"].to_numpy()})
    labeled["weak_label"] = pd.array(names[labeling.codes], dtype="string")
    for place, label in enumerate(labels):
        labeled[f"soft_{label}"] = labeling.soft[:, place]
    labeled["n_votes"] = (matrix != ABSTAIN).sum(axis=1).astype("int16")
    labeled["training_label"] = pd.array(names[codes], dtype="string")
    labeled["label_source"] = sources
    labeled["label_confidence"] = confidence
    return labeled


def check_labels(
    labeling: Labeling,
    *,
    records: pd.DataFrame,
    written: pd.DataFrame,
    gold: np.ndarray,
    labels: Sequence[str],
    params: LabelParams,
) -> list[Check]:
    """Return every check of the label gate; `written` is the content of records.parquet."""
    kappa = cohen_kappa(labeling.codes, gold, n_labels=len(labels), confidence=params.confidence)
    return [
        check_conservation(records["id"], {"written": written["id"]}),
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
        *class_rows_checks(
            _training_rows(written, labels),
            rows=int((records["part"] == "train").sum()),
            at_least=params.min_class_rows,
        ),
    ]


def metrics_of(
    labeling: Labeling,
    matrix: np.ndarray,
    *,
    gold: np.ndarray,
    records: pd.DataFrame,
    written: pd.DataFrame,
    labels: Sequence[str],
    params: LabelParams,
) -> dict[str, Any]:
    """Return the content of `metrics.json`; the stage chooses the headline."""
    counts = vote_counts(matrix, n_labels=len(labels))
    voted = counts.sum(axis=1) > 0
    most = counts.max(axis=1, keepdims=True)
    kappa = cohen_kappa(labeling.codes, gold, n_labels=len(labels), confidence=params.confidence)
    both = (labeling.codes != ABSTAIN) & (gold != ABSTAIN)
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
        "train_on": params.train_on,
        "train_rows_labeled": _training_rows(written, labels),
        "train_rows_by_source": {
            source: int((written["label_source"] == source).sum()) for source in ("gold", "functions")
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


def _training_rows(written: pd.DataFrame, labels: Sequence[str]) -> dict[str, int]:
    """Return how many rows are trained on each label."""
    return {label: int((written["training_label"] == label).sum()) for label in labels}


def _share(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
