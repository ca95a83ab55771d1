"""Concept drift: accuracy of the champion on late labels, against its release and against the champion before it."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from pipelines.monitoring.sampling import facts_of, find_selection, latest_labels
from pipelines.profile.performance import Performance, estimate_accuracy, losses_of_being_right
from pipelines.stats.fairness import Count, newcombe


def join_labels(
    predictions: pd.DataFrame, labels: pd.DataFrame, *, model_version: int, since: pd.Timestamp | None = None
) -> tuple[pd.DataFrame, int]:
    """Return this version's answers to labeled records (`record_id`, `right`, `confidence`), and the labels of no
    record.

    A record has the label that arrived last, if that was not before `since`. Records that were never labeled under a
    known sampling are left out.
    """
    empty = pd.DataFrame({"record_id": [], "right": [], "confidence": []})
    if labels.empty:
        return empty, 0
    last = latest_labels(labels)
    if since is not None:
        last = last[last["labeled_at"] >= since]
    if predictions.empty:
        return empty, len(last)
    known = set(predictions["record_id"])
    unknown = int((~last["record_id"].isin(known)).sum())
    own = predictions[predictions["model_version"] == model_version].drop_duplicates("record_id")
    joined = own[["record_id", "label", "confidence"]].merge(
        last.loc[last["sampled_at"].notna(), ["record_id", "label"]], on="record_id", suffixes=("", "_gold")
    )
    joined["right"] = (joined["label"].astype("string") == joined["label_gold"].astype("string")).astype(bool)
    return joined[["record_id", "right", "confidence"]], unknown


def selection_of(predictions: pd.DataFrame, labels: pd.DataFrame, *, versions: Mapping[str, int]) -> dict[str, Any]:
    """Return whether labels depend on the answers of these versions, see `sampling.find_selection`.

    `versions` has a name for each, such as champion; the records are those that all of them answered.
    """
    nothing = {"depends": False, "why": "", "labeled": 0, "rows": 0, "found": []}
    if predictions.empty or labels.empty:
        return nothing
    answers = {
        name: predictions[predictions["model_version"] == version].drop_duplicates("record_id").set_index("record_id")
        for name, version in versions.items()
    }
    records = sorted(set.intersection(*(set(frame.index) for frame in answers.values())))
    if not records:
        return nothing
    answers = {name: frame.loc[records] for name, frame in answers.items()}
    last = latest_labels(labels).set_index("record_id")[["sampled_at", "complete"]].reindex(records)
    answered = last.assign(
        complete=last["complete"].eq(True).fillna(False).astype(bool),
        received_at=next(iter(answers.values()))["received_at"],
    )
    return find_selection(answered, facts_of(answers))


def against_release(
    answers: pd.DataFrame, *, release: Performance | None, margin: float, confidence: float, min_rows: int
) -> dict[str, Any]:
    """Return accuracy and log loss on fresh labels minus those at release, with intervals.

    The outcome is "worse" when the whole interval of accuracy lies below -`margin`.
    """
    rows = len(answers)
    result: dict[str, Any] = {"rows": rows, "release_rows": release.rows if release else 0, "outcome": "undecided"}
    result |= dict.fromkeys(("accuracy", "accuracy_change", "accuracy_interval", "log_loss", "log_loss_change"))
    if release is None or rows == 0:
        return result
    right = answers["right"].to_numpy(dtype=bool)
    sure = answers["confidence"].to_numpy(dtype=np.float64)
    losses = losses_of_being_right(right, confidence=sure)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    low, high = newcombe(Count(int(right.sum()), rows), Count(release.right, release.rows), confidence=confidence)
    spread = z * math.sqrt(losses.var() / rows + release.log_loss_sd**2 / release.rows)
    more = float(losses.mean()) - release.log_loss
    accuracy = float(right.mean())
    estimate = estimate_accuracy(sure, release=release, level=confidence)
    within = estimate["interval"]
    result |= {
        "accuracy": accuracy,
        "estimate": estimate,
        "estimate_holds": None if within is None else within[0] <= accuracy <= within[1],
        "release_accuracy": release.right / release.rows,
        "accuracy_change": float(right.mean()) - release.right / release.rows,
        "accuracy_interval": [low, high],
        "log_loss": float(losses.mean()),
        "release_log_loss": release.log_loss,
        "log_loss_change": more,
        "log_loss_interval": [more - spread, more + spread],
    }
    if rows >= min_rows:
        result["outcome"] = "worse" if high < -margin else "steady"
    return result


def against_previous(
    champion: pd.DataFrame, previous: pd.DataFrame, *, confidence: float, min_rows: int
) -> dict[str, Any]:
    """Compare two versions on the records that both answered: exact binomial test of the answers that differ."""
    from scipy.stats import binomtest

    both = champion.merge(previous, on="record_id", suffixes=("", "_previous"))
    only_champion = int((both["right"] & ~both["right_previous"]).sum())
    only_previous = int((~both["right"] & both["right_previous"]).sum())
    rows, differ = len(both), only_champion + only_previous
    result: dict[str, Any] = {
        "rows": rows,
        "only_champion_right": only_champion,
        "only_previous_right": only_previous,
        "accuracy_change": None,
        "accuracy_interval": None,
        "p": None,
        "outcome": "undecided",
    }
    if rows < max(min_rows, 1):
        return result
    result["accuracy_change"] = (only_champion - only_previous) / rows
    if differ == 0:
        return result | {"accuracy_interval": [0.0, 0.0], "p": 1.0, "outcome": "steady"}
    test = binomtest(only_champion, differ, 0.5, alternative="two-sided")
    interval = test.proportion_ci(confidence, method="exact")
    bounds = [(2 * float(bound) - 1) * differ / rows for bound in (interval.low, interval.high)]
    outcome = "worse" if bounds[1] < 0 else "steady"
    return result | {"accuracy_interval": bounds, "p": float(test.pvalue), "outcome": outcome}
