"""Where the parts begin and end: whole UTC days, found from the gold rows, an embargo before everything that tests.

train | embargo | validation | recent | rows whose gold has not arrived
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Timeline:
    """Half-open boundaries in time; each part ends where the next thing begins."""

    train_end: pd.Timestamp
    validation_start: pd.Timestamp
    recent_start: pd.Timestamp
    gold_end: pd.Timestamp
    embargo_days: int

    def place(self, records: pd.DataFrame) -> pd.Series:
        """Return for each record its part, or the reason why it has none."""
        at, gold = records["received_at"], records["gold"].notna()
        places = np.select(
            [
                at < self.train_end,
                at < self.validation_start,
                at >= self.gold_end,
                ~gold,
                at < self.recent_start,
            ],
            ["train", "embargo", "gold_not_due", "no_gold", "validation"],
            default="recent",
        )
        return pd.Series(places, index=records.index, dtype="object")


def draw_timeline(
    records: pd.DataFrame,
    *,
    gold_delay_days: int,
    embargo_days: int,
    recent_share: float,
    validation_share: float,
    complete_gold_share: float,
) -> Timeline:
    """Return the boundaries: the last `recent_share` of the gold rows are recent, the `validation_share` before them
    validation.

    Shares of rows and not days, because real data has gaps of years. No training row is received within `embargo_days`
    (at least the gold delay) before the first row that tests, so whatever is known of one was known before the tests.
    """
    embargo = max(embargo_days, gold_delay_days)
    gold_end = find_gold_end(records, gold_delay_days=gold_delay_days, complete_gold_share=complete_gold_share)
    days = records.loc[records["gold"].notna() & (records["received_at"] < gold_end), "received_at"].dt.floor("D")
    days = days.sort_values(ignore_index=True)
    if days.empty:
        return Timeline(gold_end - pd.Timedelta(days=embargo), gold_end, gold_end, gold_end, embargo)
    recent_start = days[int(np.floor(len(days) * (1 - recent_share)))]
    validation_start = days[int(np.floor(len(days) * (1 - recent_share - validation_share)))]
    train_end = validation_start - pd.Timedelta(days=embargo)
    return Timeline(train_end, validation_start, recent_start, gold_end, embargo)


def find_gold_end(records: pd.DataFrame, *, gold_delay_days: int, complete_gold_share: float) -> pd.Timestamp:
    """Return the day from which rows may still wait for their gold: the end of the data, or the gold delay before it.

    The few labels that arrive early are not a random sample: the last days count only if gold is as complete as before.
    """
    at = records["received_at"]
    if at.empty:
        return pd.Timestamp(0, tz="UTC")
    end = at.max().floor("D") + pd.Timedelta(days=1)
    due = end - pd.Timedelta(days=gold_delay_days)
    newest = records.loc[at >= due, "gold"].notna().mean() if (at >= due).any() else 0.0
    older = records.loc[at < due, "gold"].notna().mean() if (at < due).any() else 1.0
    return end if newest > 0 and newest >= complete_gold_share * older else due
