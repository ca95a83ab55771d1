"""What promote decides on, brought into shape, and the checks that it is sound."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.gates.verdict import Check
from pipelines.records.domain import DomainSchema
from pipelines.stages.promote.rules import Codes, Contest

NO_ANSWER = -1


def gold_rows(records: pd.DataFrame, *, part: str, without: set[str]) -> pd.DataFrame:
    """Rows of one test set with a gold label, without those a model was trained on."""
    keep = (records["part"] == part) & records["gold"].notna() & ~records["id"].isin(without)
    return records[keep].reset_index(drop=True)


def codes_of(rows: pd.DataFrame, said: pd.DataFrame, *, labels: Sequence[str]) -> Codes:
    """The class index that predictions (`id`, `label`) give each row; -1 without an answer or with an unknown one."""
    index = {label: code for code, label in enumerate(labels)}
    label_of = dict(zip(said["id"].astype(str), said["label"].astype(object), strict=True))
    return np.array([index.get(str(label_of.get(row)), NO_ANSWER) for row in rows["id"].astype(str)], dtype=np.int64)


def contest(
    rows: pd.DataFrame, *, candidate: pd.DataFrame, rival: pd.DataFrame | None, against: str, labels: Sequence[str]
) -> Contest:
    """Both answers to the rows that both have answered; without a rival, against always the most frequent class."""
    gold = codes_of(rows, rows[["id", "gold"]].rename(columns={"gold": "label"}), labels=labels)
    mine = codes_of(rows, candidate, labels=labels)
    if rival is None:
        most_frequent = np.bincount(gold, minlength=len(labels)).argmax() if len(gold) else 0
        other: NDArray[np.int64] = np.full(len(rows), most_frequent, dtype=np.int64)
    else:
        other = codes_of(rows, rival, labels=labels)
    both = (mine != NO_ANSWER) & (other != NO_ANSWER)
    return Contest(rows[both].reset_index(drop=True), gold[both], mine[both], other[both], against)


def evidence_checks(
    rows: pd.DataFrame, candidate: pd.DataFrame, *, labels: Sequence[str], digest: str, evaluated: str, min_rows: int
) -> list[Check]:
    """The evidence is about this model and these rows, and there are rows enough."""
    confidence = candidate.set_index("id")["confidence"].reindex(rows["id"]).to_numpy(np.float64)
    mine = codes_of(rows, candidate, labels=labels)
    unanswered = int(((mine == NO_ANSWER) | ~np.isfinite(confidence)).sum())
    classes = rows["gold"].nunique()
    return [
        _yes("model_is_the_evaluated_one", digest == evaluated, rows=1, sentence=_digests(digest, evaluated)),
        _count(
            "recent_rows",
            len(rows),
            least=min_rows,
            sentence=f"{len(rows)} recent gold rows, none of them seen by a champion in training; "
            f"fewer than {min_rows} decide nothing",
        ),
        _count("recent_classes", classes, least=2, sentence=f"{classes} of {len(labels)} labels have recent gold rows"),
        Check.equals(
            "unanswered_rows",
            unanswered,
            limit=0,
            rows=len(rows),
            min_rows=0,
            required=True,
            sentence=f"data/evaluate/predictions.parquet lacks a usable answer of the candidate for {unanswered} "
            f"of {len(rows)} recent gold rows",
        ),
    ]


def champion_checks(
    *, domain: str, labels: Sequence[str], schema: DomainSchema, shared: int, frozen: int
) -> list[Check]:
    """The pinned champion answers the same question, and its anchor set is still there."""
    return [
        _yes(
            "champion_domain",
            domain == schema.name,
            rows=1,
            sentence=f"the champion is of domain {domain!r}, this run of {schema.name!r}: another domain needs its own "
            "release.model_name",
        ),
        _yes(
            "champion_labels",
            set(labels) == set(schema.labels),
            rows=1,
            sentence=_label_sets(labels, schema.labels),
        ),
        _count(
            "anchor_rows",
            shared,
            least=max(1, frozen // 2),
            sentence=f"{shared} of the {frozen} frozen anchor rows were answered by candidate and best champion",
        ),
    ]


def describe_rows(rows: pd.DataFrame, *, decisions_used: int) -> dict[str, Any]:
    """What a test set is, and for how many decisions it has been used, this one counted."""
    days = rows["received_at"].dt.strftime("%Y-%m-%d")
    ids = "\n".join(sorted(rows["id"].astype(str)))
    return {
        "rows": len(rows),
        "first_day": days.min() if len(rows) else None,
        "last_day": days.max() if len(rows) else None,
        "ids_digest": hashlib.sha256(ids.encode()).hexdigest(),
        "decisions_used": decisions_used,
    }


def _yes(name: str, holds: bool, *, rows: int, sentence: str) -> Check:
    return Check.equals(name, float(holds), limit=1, rows=rows, min_rows=0, required=True, sentence=sentence)


def _count(name: str, value: int, *, least: int, sentence: str) -> Check:
    return Check.at_least(name, value, limit=least, rows=value, min_rows=0, required=True, sentence=sentence)


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
