"""Feedback loop: how many training rows got their label from the model's own decisions?"""

from collections.abc import Collection
from datetime import date

import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.monitoring.predictions import read_labels, read_predictions

OWN = "model"


def sources_known(labels: pd.DataFrame) -> bool:
    """Whether every late label says who gave it."""
    return labels.empty or ("source" in labels.columns and bool(labels["source"].notna().all()))


def self_labeled(
    training: pd.DataFrame, predictions: pd.DataFrame, labels: pd.DataFrame, *, own_sources: Collection[str] = (OWN,)
) -> pd.Series:
    """Which training rows (`id`, `label`) carry a label that the model itself gave.

    Where late labels say their `source`, a row is the model's own when that source is one of `own_sources`. Where they
    do not, a label counts as its own when a model answered the row with the same label before the label came: people
    who see an answer tend to leave it, so this is the most that can be the model's own.
    """
    ids = training["id"].astype("string")
    if labels.empty:
        return pd.Series(False, index=training.index)
    last = labels.sort_values("labeled_at", kind="stable").drop_duplicates("record_id", keep="last")
    if "source" in last.columns and last["source"].notna().all():
        own = set(last.loc[last["source"].isin(list(own_sources)), "record_id"])
        return ids.isin(own)
    if predictions.empty:
        return pd.Series(False, index=training.index)
    asked = predictions[["record_id", "label", "served_at"]].merge(
        last[["record_id", "label", "labeled_at"]], on="record_id", suffixes=("_model", "")
    )
    copied = asked[(asked["label_model"] == asked["label"]) & (asked["served_at"] < asked["labeled_at"])]
    trained = dict(zip(copied["record_id"], copied["label"], strict=True))
    return ids.map(trained).astype("string").eq(training["label"].astype("string")).fillna(False).astype(bool)


def feedback_check(own: pd.Series, *, at_most: float, known: bool) -> Check:
    """The share of training rows that the model labeled itself, against its cap; from 0 on where nobody says who."""
    rows = len(own)
    share = float(own.mean()) if rows else 0.0
    return Check.at_most(
        "self_labeled",
        share,
        limit=at_most,
        interval=None if known else (0.0, share),
        rows=rows,
        min_rows=1,
        required=True,
        sentence=f"{int(own.sum())} of {rows} training rows have a label that the model's own answer may have made",
    )


def feedback_between(training: pd.DataFrame, *, start: date, end: date, max_share: float) -> Check:
    """Check training rows (`id`, `label`) against what was predicted and labeled in the days [start, end)."""
    asked, labels = read_predictions(start=start, end=end), read_labels(start=start, end=end)
    return feedback_check(self_labeled(training, asked, labels), at_most=max_share, known=sources_known(labels))
