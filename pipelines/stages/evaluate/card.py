"""What the model card shows beyond the metrics: plain values that evaluate keeps in `metrics.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipelines.records.schema import DomainSchema
from pipelines.stages.evaluate.measurement import Measurement
from pipelines.stages.evaluate.params import EvaluateParams
from pipelines.stages.evaluate.scores import rounded


def card_facts(
    found: Measurement,
    tests: Mapping[str, pd.DataFrame],
    behaviors: Sequence[Mapping[str, Any]],
    *,
    schema: DomainSchema,
    params: EvaluateParams,
) -> dict[str, Any]:
    """Return the card's facts about the chosen candidate on `recent`, and the reliability bins of all candidates."""
    chosen = found.choice.candidate
    recent = found.scores[chosen, "recent"]
    bins = {
        name: [dataclasses.asdict(item) for item in found.scores[name, "recent"].bins if item.rows]
        for name in found.candidates
    }
    facts = {
        "domain": dataclasses.asdict(schema),
        "spans": {part: day_span(rows) for part, rows in tests.items()},
        "classes": list(recent.classes),
        "confusion": recent.confusion,
        "bins": bins,
        "slices": found.slices[chosen],
        "fairness": found.fairness[chosen],
        "groups": found.groups,
        "behaviors": list(behaviors),
        "confidence": params.confidence,
        "min_slice_rows": params.slices.min_rows,
    }
    return dict(_plain(facts))


def day_span(records: pd.DataFrame) -> tuple[str, str] | None:
    """Return the first and the last UTC day of records, or None without records."""
    if records.empty:
        return None
    days = records["received_at"].dt.strftime("%Y-%m-%d")
    return str(days.min()), str(days.max())


def _plain(content: Any) -> Any:
    """Return nested values as JSON keeps them: numbers rounded to six digits, null where not finite."""
    if isinstance(content, Mapping):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return rounded(content)
