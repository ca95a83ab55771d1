"""Live rows as counts by day over the bins of a profile, and the columns that are missing."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.profile.profile import PREDICTED, Profile
from pipelines.stats.histogram import count_days, day_numbers


@dataclass(frozen=True)
class Live:
    """Rows of the days before `end`, one per record, with counts by day for every column of the profile."""

    frame: pd.DataFrame
    first_day: date
    days: NDArray[np.int64]  # day of each row, counted from the first
    n_days: int
    rows: NDArray[np.int64]  # rows by day
    counts: dict[str, NDArray[np.int64]]  # column -> (days, bins); without columns that are not logged
    own: NDArray[np.bool_]  # rows that the profile's model answered
    unlogged: tuple[str, ...]  # columns of the profile that the rows do not have at all

    @property
    def end(self) -> date:
        """Day after the last one."""
        return self.first_day + timedelta(days=self.n_days)

    def values(self, name: str, *, first: int, last: int) -> "pd.Series[Any]":
        """Return the values of a column on the days `first <= day < last`."""
        inside = (self.days >= first) & (self.days < last)
        if name == PREDICTED:
            name = "label"
        return self.frame.loc[inside & (self.own if name in ("label", "confidence") else True), name]


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
    frame = one_row_per_record(predictions, model_version=model_version)
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
    counts, unlogged = {}, []
    for column in profile.columns:
        name = "label" if column.name == PREDICTED else column.name
        if name not in frame.columns:
            if len(frame):
                unlogged.append(column.name)
            continue
        measured = own if column.source == "prediction" else None
        if column.source == "text":  # measured on a sample of the texts: a row without a value was not measured
            measured = frame[name].notna().to_numpy(dtype=bool) if column.name != "out_of_vocabulary" else None
        counts[column.name] = count_days(frame[name], bins=column.bins, days=days, n_days=n_days, measured=measured)
    return Live(
        frame=frame,
        first_day=first_day,
        days=days,
        n_days=n_days,
        rows=np.bincount(days, minlength=n_days).astype(np.int64),
        counts=counts,
        own=own,
        unlogged=tuple(unlogged),
    )


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
