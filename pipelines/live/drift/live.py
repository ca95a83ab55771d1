"""Live rows as counts by day over the bins of a profile, and the columns that are missing."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.monitoring.predictions import in_namespaces
from pipelines.profile.profile import PREDICTED, Column, Profile
from pipelines.profile.text_measure import OUT_OF_VOCABULARY
from pipelines.stats.histogram import count_days, day_numbers
from pipelines.stats.tail import SPANS, count_tail, split_tail

Mask = NDArray[np.bool_]
GONE = "it is not in the predictions of these days"


@dataclass(frozen=True)
class Live:
    """Rows of the days before `end`, one per record, with counts by day for every column of the profile."""

    frame: pd.DataFrame
    first_day: date
    days: NDArray[np.int64]  # day of each row, counted from the first
    n_days: int
    rows: NDArray[np.int64]  # rows by day
    counts: dict[str, NDArray[np.int64]]  # column -> (days, bins); without columns that are not logged
    tails: dict[str, NDArray[np.int64]]  # column -> (spans, days, 2), of the columns whose profile has them
    own: Mask  # rows that the profile's model answered
    names: dict[str, str]  # column of the profile -> column of the frame
    measured: dict[str, Mask]  # column -> rows that have it; a row of another version of the domain may not
    unlogged: dict[str, str]  # columns of the profile that no row has -> why

    @property
    def end(self) -> date:
        """Day after the last one."""
        return self.first_day + timedelta(days=self.n_days)

    def comparable(self, name: str, span: int) -> NDArray[np.int64]:
        """Return counts (days, bins) as `Column.comparable` does, of windows of `span` weeks that end with the last."""
        tails = self.tails.get(name)
        return self.counts[name] if tails is None else split_tail(self.counts[name], tails[SPANS.index(span)])

    def values(self, name: str, *, first: int, last: int) -> "pd.Series[Any]":
        """Return the values of a column of the profile on the days `first <= day < last`, of the rows that have it."""
        inside = (self.days >= first) & (self.days < last)
        return self.frame.loc[inside & self.measured[name], self.names[name]]


def count_live(
    predictions: pd.DataFrame,
    *,
    profile: Profile,
    model_version: int,
    end: date,
    n_days: int,
    texts: pd.DataFrame | None,
) -> Live:
    """Count the rows of the `n_days` before `end`.

    A record that several versions or roles answered counts once. Inputs are known for every row, predictions only for
    the rows that this version answered. `texts` are measured columns by `record_id` (see `profile.text_measure`).
    """
    first_day = end - timedelta(days=n_days)
    frame = one_row_per_record(
        in_namespaces(predictions) if len(predictions) else predictions, model_version=model_version
    )
    if texts is not None and len(frame):
        frame = frame.merge(texts.drop_duplicates("record_id"), on="record_id", how="left", validate="1:1")
    if frame.empty:
        frame = pd.DataFrame({"record_id": pd.Series(dtype="string"), "model_version": pd.Series(dtype="int64")})
        days = np.empty(0, dtype=np.int64)
    else:
        days = day_numbers(frame["received_at"], first_day=first_day)
        inside = (days >= 0) & (days < n_days)
        frame, days = frame[inside].reset_index(drop=True), days[inside]
    own = (frame["model_version"] == model_version).to_numpy(dtype=bool)
    names = {column.name: column_of(column) for column in profile.columns}
    measured = {column.name: _measured(frame, column, own=own) for column in profile.columns}
    counts, tails, unlogged = {}, {}, {}
    for column in profile.columns:
        name, rows = names[column.name], measured[column.name]
        if name not in frame.columns or (column.feature is not None and not rows.any()):
            if len(frame):
                unlogged[column.name] = _why_unlogged(frame, column, own=own)
            continue
        at: dict[str, Any] = {"bins": column.bins, "days": days, "n_days": n_days, "measured": rows}
        counts[column.name] = count_days(frame[name], **at)
        if column.tails is not None:
            tails[column.name] = np.stack([count_tail(frame[name], span=span, **at) for span in SPANS])
    return Live(
        frame=frame,
        first_day=first_day,
        days=days,
        n_days=n_days,
        rows=np.bincount(days, minlength=n_days).astype(np.int64),
        counts=counts,
        tails=tails,
        own=own,
        names=names,
        measured=measured,
        unlogged=unlogged,
    )


def column_of(column: Column) -> str:
    """Return the column of predictions, or of measured texts, that a column of a profile is compared with."""
    if column.feature is not None:
        return f"{column.kind}.{column.feature}"
    return "label" if column.name == PREDICTED else column.name


def _measured(frame: pd.DataFrame, column: Column, *, own: Mask) -> Mask:
    """Return the rows that have a column: the value of any other row is unknown rather than missing."""
    name = column_of(column)
    if name not in frame.columns:
        return np.zeros(len(frame), dtype=bool)
    if column.source == "prediction":
        return own
    if column.source == "text" and column.name != OUT_OF_VOCABULARY:  # a sample of the texts is embedded
        return frame[name].notna().to_numpy(dtype=bool)
    if column.feature is None:
        return np.ones(len(frame), dtype=bool)
    sets = frame["features"].astype("category")
    return np.array([name in json.loads(item) for item in sets.cat.categories], dtype=bool)[sets.cat.codes]


def _why_unlogged(frame: pd.DataFrame, column: Column, *, own: Mask) -> str:
    """Return why no row has a column: GONE, or that the rows are of another version of the domain."""
    other = f"{'number' if column.kind == 'category' else 'category'}.{column.feature}"
    if other in frame.columns:
        return f"not comparable: these days' predictions have it as a {other.partition('.')[0]}"
    if column.feature is not None and not own.any():
        return "not comparable: these days' predictions are of an earlier version of the domain, without it"
    return GONE


def one_row_per_record(predictions: pd.DataFrame, *, model_version: int) -> pd.DataFrame:
    """Return each record once: with this version's answer if it gave one, else with any version's."""
    if predictions.empty:
        return predictions
    order = pd.DataFrame(
        {
            "other": (predictions["model_version"] != model_version).to_numpy(dtype=bool),
            "aside": (predictions["role"] != "champion").to_numpy(dtype=bool),
        }
    )
    ranked = predictions.iloc[np.lexsort((order["aside"], order["other"]))]
    return ranked.drop_duplicates("record_id").sort_values(["received_at", "record_id"], ignore_index=True)
