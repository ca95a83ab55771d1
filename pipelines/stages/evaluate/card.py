"""The model card: everything an auditor asks of one candidate on one self-contained page."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipelines.gates.verdict import Verdict
from pipelines.records.domain import DomainSchema
from pipelines.reporting.report import axis_bounds, number, percent, render, thousands
from pipelines.stages.evaluate.choice import Choice
from pipelines.stages.evaluate.scores import Scores

NAMES = {"baseline": "Cheap model", "finetune": "Fine-tuned model"}
METRICS = (
    ("accuracy", "Accuracy", "share of rows answered right"),
    ("macro_f1", "Macro-F1", "mean over classes, rare ones count as much"),
    ("lowest_recall", "Lowest recall", "share found of the class answered worst"),
    ("log_loss", "Log loss", "lower is better"),
    ("brier", "Brier score", "0 to 2, lower is better"),
)


@dataclass(frozen=True)
class Evidence:
    """All that the card shows, as plain values and results."""

    schema: DomainSchema
    choice: Choice
    scores: Mapping[tuple[str, str], Scores]  # by candidate and part
    spans: Mapping[str, tuple[str, str] | None]  # first and last day of each part
    slices: Sequence[Mapping[str, Any]]  # of the chosen candidate on `recent`
    fairness: Sequence[Mapping[str, Any]]
    groups: Sequence[Mapping[str, Any]]
    behaviors: Sequence[Mapping[str, Any]]
    verdict: Verdict
    gates: Mapping[str, Mapping[str, Any]]  # verdict.json of every gate before
    metrics: Mapping[str, Mapping[str, Any]]  # metrics.json of every stage before
    lineage: Sequence[tuple[str, str]]  # what, digest
    confidence: float
    min_slice_rows: int


def render_card(evidence: Evidence) -> str:
    """The page as HTML; same evidence, same bytes."""
    chosen = evidence.choice.candidate
    recent = evidence.scores[chosen, "recent"]
    bounds = axis_bounds(
        [row[key] for row in evidence.slices for key in ("lower", "upper", "accuracy")],
        include=[recent.estimates["accuracy"].value],
    )
    values = {
        "e": evidence,
        "names": NAMES,
        "metric_rows": METRICS,
        "chosen": chosen,
        "recent": recent,
        "verdict": evidence.verdict.to_dict(),
        "slice_axis": (max(0.0, bounds[0]), min(1.0, bounds[1])),
        "slice_groups": _grouped(evidence.slices),
        "confused": confused_pairs(recent, labels=evidence.schema.labels),
        "thin_labels": [item["label"] for item in recent.classes if item["rows"] < evidence.min_slice_rows],
        "two_sided": 2 * evidence.confidence - 1,
        "facts": defaultdict(list, {stage: flatten(found) for stage, found in evidence.metrics.items()}),
        "quality": label_quality(evidence.gates),
    }
    return render("model_card.html.j2", values=values)


def confused_pairs(scores: Scores, *, labels: Sequence[str], most: int = 3) -> list[dict[str, Any]]:
    """The most frequent mistakes: gold label, what was said instead, rows, share of the gold label's rows."""
    pairs: list[dict[str, Any]] = [
        {"gold": labels[i], "said": labels[j], "rows": n, "share": n / sum(row)}
        for i, row in enumerate(scores.confusion)
        for j, n in enumerate(row)
        if i != j and n
    ]
    return sorted(pairs, key=lambda pair: (-pair["rows"], pair["gold"], pair["said"]))[:most]


def label_quality(gates: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """The checks of ingest to label that say most about the data, as name, value and what lies under it."""
    shown = (
        ("ingest", "rows", "Accepted rows", thousands),
        ("dedupe", "removed_share", "Repeated texts", percent),
        ("split", "train_rows", "Train rows", thousands),
        ("label", "coverage", "Labeled", percent),
        ("label", "kappa", "Kappa with gold", number),
    )
    found = []
    for stage, name, title, shape in shown:
        for check in gates.get(stage, {}).get("checks", ()):
            if check["name"] == name:
                limit = f"limit {check['limit']:g}" if isinstance(check["limit"], int | float) else ""
                found.append((title, shape(check["value"]), limit))
    return found


def flatten(content: Any, *, prefix: str = "", depth: int = 3) -> list[tuple[str, Any]]:
    """Numbers and words of nested metrics as `a.b.c` and value, in order."""
    if isinstance(content, Mapping) and depth:
        return [
            item
            for key in sorted(content, key=str)
            for item in flatten(content[key], prefix=f"{prefix}.{key}" if prefix else str(key), depth=depth - 1)
        ]
    return [(prefix, content)] if isinstance(content, int | float | str) and prefix else []


def day_span(records: pd.DataFrame) -> tuple[str, str] | None:
    """First and last UTC day of some records."""
    if records.empty:
        return None
    days = records["received_at"].dt.strftime("%Y-%m-%d")
    return str(days.min()), str(days.max())


def _grouped(slices: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Slices under the name of what they were cut by, in order of appearance."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in slices:
        groups.setdefault(str(row["slice"]), []).append(row)
    return list(groups.items())
