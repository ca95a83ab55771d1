"""Text columns of live records, measured as the profile measured its own; predictions do not store texts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipelines.profile.profile import Profile
from pipelines.profile.text_measure import OUT_OF_VOCABULARY, TextMeasure

Embed = Callable[[Sequence[str]], Any]


def measure_texts(records: pd.DataFrame, *, profile: Profile, embed: Embed | None) -> pd.DataFrame:
    """Return `record_id` and the profile's text columns of records (`id`, `text`, `received_at`).

    Unknown words are counted in every text; per day, as many texts are embedded as the profile embedded per day.
    """
    frame = records[["id", "text", "received_at"]].reset_index(drop=True)
    texts = frame["text"].fillna("").tolist()
    measured = pd.DataFrame({"record_id": frame["id"].astype("string")})
    if profile.text.vocabulary:
        words = TextMeasure(profile.text.vocabulary, np.empty(0), np.empty((0, 0))).measure(texts)
        measured[OUT_OF_VOCABULARY] = words[OUT_OF_VOCABULARY].to_numpy()
    if embed is not None and len(profile.text.mean) and len(frame):
        chosen = evenly(frame, per_day=embedded_per_day(profile))
        only = TextMeasure((), profile.text.mean, profile.text.directions)
        some = only.measure([texts[row] for row in chosen], embeddings=embed([texts[row] for row in chosen]))
        for name in some.columns:
            values = np.full(len(frame), np.nan)
            values[chosen] = some[name].to_numpy()
            measured[name] = values
    return measured


def embedded_per_day(profile: Profile) -> int:
    """Return how many texts the profile embedded per day, rounded up."""
    counts = [column.counts.sum() for column in profile.columns if column.name.startswith("embedding_")]
    return int(np.ceil(max(counts, default=0) / max(profile.n_days, 1)))


def evenly(frame: pd.DataFrame, *, per_day: int) -> list[int]:
    """Return rows spread evenly over each day, at most `per_day` of each; the same rows in every call."""
    chosen: list[int] = []
    days = pd.to_datetime(frame["received_at"], utc=True).dt.floor("D")
    for _, rows in frame.groupby(days, sort=True).groups.items():
        places = np.asarray(rows)
        wanted = np.unique(np.linspace(0, len(places) - 1, min(per_day, len(places))).round().astype(int))
        chosen += [int(place) for place in places[wanted]]
    return chosen
