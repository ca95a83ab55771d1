"""The data report: what came in, what was left out and why, how good the labels are, and for which groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipelines.reporting.evidence import GATES, RunEvidence
from pipelines.reporting.report import render

MEASURES = {
    "coverage": ("Labeled", "of all rows"),
    "labeled_right": ("Labeled correctly", "of gold rows"),
    "survival": ("Kept", "by dedupe and split"),
}


@dataclass(frozen=True)
class Step:
    """One step of the flow: rows left after it, rows that it removed, and the reasons with their counts."""

    name: str
    left: int
    removed: int
    reasons: tuple[tuple[str, int], ...]


def data_report(evidence: RunEvidence, *, functions: pd.DataFrame) -> str:
    """Return the page as HTML; equal values give equal bytes.

    `evidence` is that of bias_gate; `functions` is `data/label/functions.csv`, one row per labeling function.
    """
    metrics, verdicts = evidence.metrics, [evidence.verdicts[stage] for stage in GATES if stage in evidence.verdicts]
    checks = [check for verdict in verdicts for check in verdict["checks"]]
    values = {
        "domain": metrics["bias_gate"]["domain"],
        "row_outcomes": metrics["bias_gate"]["row_outcomes"],
        "disparate_impact_limit": metrics["bias_gate"]["disparate_impact_limit"],
        "metrics": metrics,
        "verdicts": verdicts,
        "verdict": evidence.verdicts["bias_gate"],
        "steps": flow(metrics),
        "functions": [_numbers(row) for row in functions.to_dict("records")],
        "kappa_limit": next(
            check["limit"] for check in evidence.verdicts["label"]["checks"] if check["name"] == "kappa"
        ),
        "measures": MEASURES,
        "failed": [check for check in checks if check["outcome"] == "failed"],
        "undecided": [check for check in checks if check["outcome"] == "undecided"],
        "n_checks": len(checks),
        "suspects": [
            check
            for verdict in verdicts
            if verdict["stage"] == "split"
            for check in verdict["checks"]
            if check["details"].get("rows")
        ],
    }
    return render("data_report.html.j2", values=values)


def flow(metrics: Mapping[str, Any]) -> list[Step]:
    """Return the rows left after each step, from the counts that each stage wrote itself."""
    rows = metrics["ingest"].get("rows", {})
    dedupe, split, label = metrics["dedupe"], metrics["split"], metrics["label"]
    accepted = int(rows.get("accepted", dedupe["rows_in"]))
    read, parts, train = int(rows.get("read", accepted)), split["parts"], split["parts"]["train"]
    labeled = sum(label["train_rows_labeled"].values())
    held_out = {f"{name} (held out)": n for name, n in parts.items() if name != "train"}
    placed = sum(parts.values())
    return [
        _step("read from the source", read, 0, {}),
        _step("accepted by ingest", accepted, read - accepted, metrics["ingest"].get("reasons", {})),
        _step("kept by dedupe", dedupe["kept"], accepted - dedupe["kept"], dedupe["dropped"]),
        _step("placed by split", placed, sum(split["discarded"].values()), split["discarded"]),
        _step("in the training part", train, placed - train, held_out),
        _step("training rows with a label", labeled, train - labeled, {"tie or no vote": train - labeled}),
    ]


def _step(name: str, left: int, removed: int, reasons: Mapping[str, int]) -> Step:
    ordered = sorted(
        ((str(reason), int(n)) for reason, n in reasons.items() if n), key=lambda item: (-item[1], item[0])
    )
    return Step(name, int(left), int(removed), tuple(ordered))


def _numbers(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row of functions.csv with None for missing values."""
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}
