"""Made-up complaints: a profile of 35 weeks, and live rows that a test may let drift or break."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.live.drift.params import AlarmParams, ConceptParams, DecisionParams, DriftParams, UpstreamParams
from pipelines.profile.freeze import ProfileParams, build_profile
from pipelines.profile.profile import Profile

START, END = date(2025, 1, 6), date(2025, 9, 8)  # 35 weeks
VERSION = 3
DIGEST = "d" * 64
LABELS = ("card", "loan")
FREEZE = ProfileParams(bins=10, max_categories=20, max_words=0, min_texts=1, directions=0)
ALARM = AlarmParams(
    max_weeks=52,
    min_rows=25,
    alert_excess=0.1,
    breach_excess=0.2,
    draws=199,
    trend_weeks=6,
    alpha=0.01,
    min_effect=0.1,
)
UPSTREAM = UpstreamParams(max_stale_days=2, min_rows_share=0.5, max_missing_rise=0.25, max_unit_factor=5)
CONCEPT = ConceptParams(label_days=28, min_rows=100, margin=0.03, confidence=0.99)
DECISION = DecisionParams(cooldown_days=14, retrain_minutes=15, max_minutes_per_month=30)
PARAMS = DriftParams(alarm=ALARM, upstream=UPSTREAM, concept=CONCEPT, decision=DECISION, lock_seconds=1)
NO_LABELS: dict[str, Any] = {
    "labels": 0,
    "unknown_labels": 0,
    "previous_version": None,
    "against_release": {
        "rows": 0,
        "release_rows": 0,
        "outcome": "undecided",
        **dict.fromkeys(("accuracy", "accuracy_change", "accuracy_interval", "log_loss", "log_loss_change")),
    },
    "against_previous": {
        "rows": 0,
        "accuracy_change": None,
        "accuracy_interval": None,
        "p": None,
        "outcome": "undecided",
    },
}


def rows(first: date, last: date, *, per_day: int = 60, seed: int = 1) -> pd.DataFrame:
    """Return rows of every day, with a weekday cycle in the amount and unique record ids."""
    rng = np.random.default_rng([seed, first.toordinal()])
    n_days = (last - first).days
    day = np.repeat(np.arange(n_days), per_day)
    weekday = np.array([0.3, 0.1, 0, -0.1, -0.3, 0.2, -0.2])[(day + first.weekday()) % 7]
    n = len(day)
    at = pd.Timestamp(first, tz="UTC") + pd.to_timedelta(day * 86_400 + rng.integers(0, 86_400, n), unit="s")
    frame = pd.DataFrame({"received_at": at})
    frame["state"] = pd.array(rng.choice(["CA", "NY", "TX"], n, p=[0.5, 0.3, 0.2]), dtype="string")
    frame["amount"] = np.exp(rng.normal(weekday, 1))
    frame["score"] = rng.normal(weekday, 1)
    frame["record_id"] = [f"{first}-{seed}-{i}" for i in range(n)]
    frame["label"] = pd.array(rng.choice(LABELS, n), dtype="string")
    frame["confidence"] = rng.uniform(0.5, 1, n)
    frame["model_version"], frame["role"], frame["text_length"] = VERSION, "champion", 100
    return frame


def profile(*, start: date = START, end: date = END, per_day: int = 60, change: Any = None) -> Profile:
    """Return the profile of these rows; `change` may edit them first."""
    frame = rows(start, end, per_day=per_day, seed=0)
    if change is not None:
        change(frame)
    predictions = frame.assign(gold=frame["label"].where(np.arange(len(frame)) % 5 > 0, "card"))
    return build_profile(
        frame,
        start=start,
        end=end,
        domain="toy",
        model_digest=DIGEST,
        categories=["state"],
        numbers=["amount", "score"],
        labels=LABELS,
        params=FREEZE,
        predictions=predictions,
    )


def weeks_before(end: date, n_weeks: int) -> date:
    """Return the day `n_weeks` weeks before `end`."""
    return end - timedelta(weeks=n_weeks)
