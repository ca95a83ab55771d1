"""Feedback loop: the share of training rows whose label came from the model's own answers."""

from collections.abc import Collection
from datetime import date
from pathlib import Path

import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.monitoring.predictions import read_labels, read_predictions
from pipelines.monitoring.sampling import latest_labels

OWN = "model"


def sources_known(labels: pd.DataFrame) -> bool:
    """Return whether every late label names its source."""
    return labels.empty or ("source" in labels.columns and bool(labels["source"].notna().all()))


def self_labeled(
    training: pd.DataFrame, predictions: pd.DataFrame, labels: pd.DataFrame, *, own_sources: Collection[str] = (OWN,)
) -> pd.Series:
    """Return a mask over training rows (`id`, `label`): those whose label the model itself gave.

    If late labels name their `source`, these are the rows whose source is one of `own_sources`. Otherwise a label
    counts as the model's own when a model answered the row with the same label before the label arrived: people who see
    an answer tend to keep it, so this is an upper bound.
    """
    ids = training["id"].astype("string")
    if labels.empty:
        return pd.Series(False, index=training.index)
    last = latest_labels(labels)
    if "source" in last.columns and last["source"].notna().all():
        own = set(last.loc[last["source"].isin(list(own_sources)), "record_id"])
        return ids.isin(own)
    if predictions.empty:
        return pd.Series(False, index=training.index)
    answered = predictions[["record_id", "label", "served_at"]].merge(
        last[["record_id", "label", "labeled_at"]], on="record_id", suffixes=("_model", "")
    )
    same = answered["label_model"] == answered["label"]
    copied = answered[same & (answered["served_at"] < answered["labeled_at"])]
    labels_copied = dict(zip(copied["record_id"], copied["label"], strict=True))
    return ids.map(labels_copied).astype("string").eq(training["label"].astype("string")).fillna(False).astype(bool)


def feedback_check(own: pd.Series, *, max_share: float, known: bool) -> Check:
    """Check the share of training rows that the model labeled itself against its limit.

    Without `known` sources the true share lies anywhere between 0 and the measured one, which is its interval.
    """
    rows = len(own)
    share = float(own.mean()) if rows else 0.0
    return Check.at_most(
        "self_labeled",
        share,
        limit=max_share,
        interval=None if known else (0.0, share),
        rows=rows,
        min_rows=1,
        required=True,
        sentence=f"{int(own.sum())} of {rows} training rows have a label that may come from the model's own answer",
    )


def feedback_between(live: Path, training: pd.DataFrame, *, start: date, end: date, max_share: float) -> Check:
    """Check training rows (`id`, `label`) against what was predicted and labeled on the UTC days [start, end)."""
    predictions, labels = read_predictions(live, start=start, end=end), read_labels(live, start=start, end=end)
    own = self_labeled(training, predictions, labels)
    return feedback_check(own, max_share=max_share, known=sources_known(labels))
