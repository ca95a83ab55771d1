"""The inputs of a decision: gold rows and predictions as comparisons, and the checks that they are sound."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.gates.verdict import Check
from pipelines.records.schema import DomainSchema
from pipelines.stages.promote.rules import Codes, Contest

NO_PREDICTION = -1


def gold_rows(records: pd.DataFrame, *, part: str, without: set[str]) -> pd.DataFrame:
    """Return the gold rows of one test set, without the ids that a model was trained on."""
    keep = (records["part"] == part) & records["gold"].notna() & ~records["id"].isin(without)
    return records[keep].reset_index(drop=True)


def codes_of(rows: pd.DataFrame, predictions: pd.DataFrame, *, labels: Sequence[str]) -> Codes:
    """Return the class code that predictions (`id`, `label`) give each row; -1 without one or for an unknown label."""
    index = {label: code for code, label in enumerate(labels)}
    label_of = dict(zip(predictions["id"].astype(str), predictions["label"].astype(object), strict=True))
    return np.array(
        [index.get(str(label_of.get(row)), NO_PREDICTION) for row in rows["id"].astype(str)], dtype=np.int64
    )


def contest(
    rows: pd.DataFrame, *, candidate: pd.DataFrame, rival: pd.DataFrame | None, against: str, labels: Sequence[str]
) -> Contest:
    """Return the rows that both have predicted; without a rival, the rival always predicts the most frequent class."""
    gold = codes_of(rows, rows[["id", "gold"]].rename(columns={"gold": "label"}), labels=labels)
    mine = codes_of(rows, candidate, labels=labels)
    if rival is None:
        most_frequent = np.bincount(gold, minlength=len(labels)).argmax() if len(gold) else 0
        other: NDArray[np.int64] = np.full(len(rows), most_frequent, dtype=np.int64)
    else:
        other = codes_of(rows, rival, labels=labels)
    both = (mine != NO_PREDICTION) & (other != NO_PREDICTION)
    return Contest(rows[both].reset_index(drop=True), gold[both], mine[both], other[both], against)


def evidence_checks(
    rows: pd.DataFrame, candidate: pd.DataFrame, *, labels: Sequence[str], digest: str, evaluated: str, min_rows: int
) -> list[Check]:
    """Return the checks that the evidence is about this model and these rows, and that there are enough rows."""
    confidence = candidate.set_index("id")["confidence"].reindex(rows["id"]).to_numpy(np.float64)
    mine = codes_of(rows, candidate, labels=labels)
    unanswered = int(((mine == NO_PREDICTION) | ~np.isfinite(confidence)).sum())
    classes = rows["gold"].nunique()
    return [
        _holds("model_is_the_evaluated_one", digest == evaluated, rows=1, sentence=_digests(digest, evaluated)),
        _count(
            "recent_rows",
            len(rows),
            minimum=min_rows,
            sentence=f"the rolling test set has {len(rows)} gold rows that the champion was not trained on; "
            f"at least {min_rows} are needed",
        ),
        _count(
            "recent_classes",
            classes,
            minimum=2,
            sentence=f"{classes} of {len(labels)} labels have gold rows in the rolling test set",
        ),
        Check.equals(
            "unanswered_rows",
            unanswered,
            limit=0,
            rows=len(rows),
            min_rows=0,
            required=True,
            sentence=f"data/evaluate/predictions.parquet has no usable prediction of the candidate for {unanswered} "
            f"of {len(rows)} gold rows of the rolling test set",
        ),
    ]


def champion_checks(
    *, domain: str, labels: Sequence[str], schema: DomainSchema, shared: int, frozen: int
) -> list[Check]:
    """Return the checks that the pinned champion has the same domain and labels, and that its fixed test set exists."""
    return [
        _holds(
            "champion_domain",
            domain == schema.name,
            rows=1,
            sentence=f"the champion's domain is {domain!r}, this run's is {schema.name!r}: another domain needs its own "
            "release.model_name",
        ),
        _holds(
            "champion_labels",
            set(labels) == set(schema.labels),
            rows=1,
            sentence=_label_sets(labels, schema.labels),
        ),
        _count(
            "anchor_rows",
            shared,
            minimum=max(1, frozen // 2),
            sentence=f"candidate and best champion have predictions for {shared} of the {frozen} rows of the fixed test set",
        ),
    ]


def describe_rows(rows: pd.DataFrame, *, decisions_used: int) -> dict[str, Any]:
    """Return rows, days and digest of a test set, and the number of decisions made on it, including this one."""
    days = rows["received_at"].dt.strftime("%Y-%m-%d")
    ids = "\n".join(sorted(rows["id"].astype(str)))
    return {
        "rows": len(rows),
        "first_day": days.min() if len(rows) else None,
        "last_day": days.max() if len(rows) else None,
        "ids_digest": hashlib.sha256(ids.encode()).hexdigest(),
        "decisions_used": decisions_used,
    }


def _holds(name: str, holds: bool, *, rows: int, sentence: str) -> Check:
    return Check.equals(name, float(holds), limit=1, rows=rows, min_rows=0, required=True, sentence=sentence)


def _count(name: str, value: int, *, minimum: int, sentence: str) -> Check:
    return Check.at_least(name, value, limit=minimum, rows=value, min_rows=0, required=True, sentence=sentence)


def _digests(digest: str, evaluated: str) -> str:
    if digest == evaluated:
        return f"the model has the digest that was evaluated, {digest[:12]}"
    return f"the model has digest {digest[:12]}, data/evaluate measured {evaluated[:12]}: run `dvc repro evaluate`"


def _label_sets(theirs: Sequence[str], ours: Sequence[str]) -> str:
    if set(theirs) == set(ours):
        return f"champion and candidate have the same {len(ours)} labels"
    only = [f"only the champion has {', '.join(sorted(set(theirs) - set(ours)))}"] if set(theirs) - set(ours) else []
    only += [f"it lacks {', '.join(sorted(set(ours) - set(theirs)))}"] if set(ours) - set(theirs) else []
    return f"the champion's labels differ: {'; '.join(only)}: another label set needs its own release.model_name"
