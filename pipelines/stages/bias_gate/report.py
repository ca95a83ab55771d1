"""The data report: one page on what came in, what fell out and why, how good the labels are, and for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipelines.records.domain import DomainSchema
from pipelines.reporting.report import render

MEASURES = {
    "coverage": ("Has a label", "of all rows"),
    "labeled_right": ("Is labeled right", "of gold rows"),
    "survival": ("Is kept", "by dedupe and split"),
}


@dataclass(frozen=True)
class Step:
    """One step of the flow: how many rows are left, how many it took, and why."""

    name: str
    left: int
    lost: int
    reasons: tuple[tuple[str, int], ...]


def data_report(
    *,
    schema: DomainSchema,
    metrics: Mapping[str, Any],
    verdicts: Sequence[Mapping[str, Any]],
    functions: pd.DataFrame,
    fates: pd.DataFrame,
    disparate_impact_limit: float,
) -> str:
    """The page as HTML; the same values give the same bytes."""
    values = {
        "schema": schema,
        "metrics": metrics,
        "verdicts": verdicts,
        "verdict": verdicts[-1],
        "steps": flow(metrics),
        "functions": [_numbers(row) for row in functions.to_dict("records")],
        "fates": fates.to_dict("records"),
        "measures": MEASURES,
        "disparate_impact_limit": disparate_impact_limit,
        "closed": [check for verdict in verdicts for check in verdict["checks"] if check["outcome"] == "failed"],
        "undecided": [check for verdict in verdicts for check in verdict["checks"] if check["outcome"] == "undecided"],
        "n_checks": sum(len(verdict["checks"]) for verdict in verdicts),
    }
    return render("data_report.html.j2", values=values)


def flow(metrics: Mapping[str, Any]) -> list[Step]:
    """Rows left after each stage, from the counts that each stage wrote itself."""
    rows = metrics["ingest"].get("rows", {})
    dedupe, split, label = metrics["dedupe"], metrics["split"], metrics["label"]
    accepted = int(rows.get("accepted", dedupe["rows_in"]))
    parts = split["parts"]
    trained = sum(label["train_rows_labeled"].values())
    return [
        _step("read from the source", int(rows.get("read", accepted)), 0, {}),
        _step(
            "accepted by ingest",
            accepted,
            int(rows.get("read", accepted)) - accepted,
            metrics["ingest"].get("reasons", {}),
        ),
        _step("kept by dedupe", dedupe["kept"], accepted - dedupe["kept"], dedupe["dropped"]),
        _step("placed by split", sum(parts.values()), sum(split["discarded"].values()), split["discarded"]),
        _step(
            "in the training part",
            parts["train"],
            sum(parts.values()) - parts["train"],
            {f"{name} (held out)": n for name, n in parts.items() if name != "train"},
        ),
        _step(
            "training rows with a label",
            trained,
            parts["train"] - trained,
            {"tie or no vote": parts["train"] - trained},
        ),
    ]


def _step(name: str, left: int, lost: int, reasons: Mapping[str, int]) -> Step:
    ordered = sorted(
        ((str(reason), int(n)) for reason, n in reasons.items() if n), key=lambda item: (-item[1], item[0])
    )
    return Step(name, int(left), int(lost), tuple(ordered))


def _numbers(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of functions.csv with None for what is missing."""
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}
