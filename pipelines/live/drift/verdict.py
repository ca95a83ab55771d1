"""The drift verdict on a live week: every column against the profile's weeks, the feed, and late labels.

Its `verdict.json` has another format than that of a gate (`gates.verdict`), which is only its part `upstream`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.gates.verdict import Verdict
from pipelines.live.drift.columns import measure_columns
from pipelines.live.drift.live import Live
from pipelines.live.drift.params import DriftParams
from pipelines.live.drift.upstream import nothing_yet, upstream_checks
from pipelines.profile.performance import estimate_accuracy
from pipelines.profile.profile import Profile
from pipelines.runtime.errors import InputError

FORMAT = 1


def make_verdict(
    profile: Profile,
    live: Live,
    *,
    model_version: int,
    start: date,
    params: DriftParams,
    concept: dict[str, Any],
    scored: Sequence[date],
    moved_since: date | None = None,
) -> dict[str, Any]:
    """Return the content of `verdict.json` for the window from `start` to the end of the live rows.

    It depends on the profile, what the profile was made for and the rows, on no clock. `concept` is the comparison
    with late labels, `scored` the days of which anything was ever predicted. Raises InputError for more than a week.
    """
    end = live.end
    require_week(start, end=end)
    columns = measure_columns(profile, live, params=params.alarm, moved_since=moved_since)
    feed = Verdict.of(
        "upstream",
        upstream_checks(profile, live, params=params.upstream, min_rows=params.alarm.min_rows, scored=scored),
    )
    too_little = nothing_yet(scored, end=end)
    if (end - start).days < 7 and not too_little:
        too_little = f"the window holds {(end - start).days} days: a week is compared with weeks"
    if too_little:
        for facts in columns.values():
            facts |= {"outcome": "undecided", "method": "undecided", "alert": False, "breach": False, "since": None}
            facts["persistent"] = False
            facts["why"] = too_little
    body: dict[str, Any] = {
        "format": FORMAT,
        "key": verdict_key(profile, live, model_version=model_version, start=start),
        "domain": profile.domain,
        "model_version": model_version,
        "model_digest": profile.model_digest,
        "profile_digest": profile.digest,
        "window": {"start": start.isoformat(), "end": end.isoformat()},
        "reference": {
            "start": profile.first_day.isoformat(),
            "end": profile.end.isoformat(),
            "weeks": min(profile.n_weeks, params.alarm.max_weeks),
            "moved_since": moved_since.isoformat() if moved_since else None,
        },
        "rows": int(live.rows[-7:].sum()),
        "rows_by_day": [int(count) for count in live.rows],
        "own_rows": int((live.own & (live.days >= live.n_days - 7)).sum()),
        **_outcome(columns, worse=concept["against_release"]["outcome"] == "worse"),
        "upstream": feed.to_dict(),
        "estimate": estimate_accuracy(_confidences(live), release=profile.performance, level=params.concept.confidence),
        "concept": concept,
        "columns": columns,
        "identifiers": list(profile.identifiers),
        "nothing_yet": nothing_yet(scored, end=end),
    }
    body["digest"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return body


def _confidences(live: Live) -> NDArray[np.float64]:
    """Return the confidences of the version's own answers in the live week."""
    if "confidence" not in live.frame.columns:
        return np.empty(0)
    week = live.own & (live.days >= live.n_days - 7)
    return np.asarray(live.frame.loc[week, "confidence"].to_numpy(dtype=np.float64, na_value=np.nan))


def _outcome(columns: dict[str, dict[str, Any]], *, worse: bool) -> dict[str, Any]:
    """Return the outcome of a week and the columns behind it; `worse`: late labels show the model less accurate."""
    breaches = [name for name, facts in columns.items() if facts["breach"]]
    alerts = [name for name, facts in columns.items() if facts["alert"]]
    inputs = [facts for facts in columns.values() if facts["source"] == "input"]
    decided = any(facts["outcome"] != "undecided" for facts in inputs or columns.values())
    since = [columns[name]["since"] for name in (breaches or alerts) if columns[name]["since"]]
    return {
        "outcome": "breach" if breaches or worse else "alert" if alerts else "steady" if decided else "undecided",
        "breaches": breaches,
        "alerts": alerts,
        "persistent": [name for name, facts in columns.items() if facts["persistent"]],
        "undecided": [name for name, facts in columns.items() if facts["outcome"] == "undecided"],
        "optimistic": [name for name, facts in columns.items() if facts["method"] == "optimistic"],
        "slow": [name for name, facts in columns.items() if facts.get("slow", {}).get("drifting")],
        "since": min(since) if since else None,  # late labels do not tell the day
    }


def require_week(start: date, *, end: date) -> None:
    """Raise InputError for a window without a day, or longer than the week that is compared with weeks."""
    if start >= end:
        raise InputError(f"window [{start}, {end}) is empty: expected start before end")
    if (end - start).days > 7:
        raise InputError(
            f"window [{start}, {end}) has {(end - start).days} days: a week is compared with weeks, so expected at most 7; "
            f"use --start {end - timedelta(days=7)}, and another --end for each earlier week"
        )


def verdict_key(profile: Profile, live: Live, *, model_version: int, start: date) -> str:
    """Return the folder name of a verdict: the window's end first, so that names sort by time.

    Its last part is a digest of what else makes a verdict: the window's start, the model, and the columns.
    """
    columns = [column.name for column in profile.columns if column.source != "text" or column.name in live.counts]
    rest = json.dumps([start.isoformat(), profile.model_digest, columns])
    return f"{live.end.isoformat()}-v{model_version}-{hashlib.sha256(rest.encode()).hexdigest()[:8]}"
