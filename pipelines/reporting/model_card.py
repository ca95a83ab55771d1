"""The model card: the evidence about one candidate on one self-contained page, for an auditor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.reporting.evidence import RunEvidence
from pipelines.reporting.floors import floors_sentence
from pipelines.reporting.report import axis_bounds, number, percent, render, thousands

NAMES = {"baseline": "Baseline", "finetune": "Fine-tuned model", "blend": "Blend"}
TEST_SETS = {"recent": "rolling test set", "anchor": "fixed test set"}
METRICS = (
    ("accuracy", "Accuracy", "share of correct predictions"),
    ("macro_f1", "Macro-F1", "mean over classes, rare classes count equally"),
    ("lowest_recall", "Lowest recall", "recall of the worst class"),
    ("log_loss", "Log loss", "lower is better"),
    ("brier", "Brier score", "0 to 2, lower is better"),
)


def model_card(evidence: RunEvidence, *, latency: Mapping[str, Any] | None = None) -> str:
    """Return the page as HTML; equal evidence gives equal bytes. `evidence` is that of evaluate.

    `latency` are measured times; they are shown only if they are about the models of the evidence.
    """
    evaluated, verdict = evidence.metrics["evaluate"], evidence.verdicts["evaluate"]
    card, chosen = evaluated["card"], evaluated["choice"]["candidate"]
    scores = {name: {part: _scores(evaluated[name][part]) for part in TEST_SETS} for name in NAMES if name in evaluated}
    recent = scores[chosen]["recent"] | {"classes": card["classes"], "confusion": card["confusion"]}
    low, high = axis_bounds(
        [row[key] for row in card["slices"] for key in ("lower", "upper", "accuracy")],
        include=[recent["estimates"]["accuracy"]["value"] or 0.0],
    )
    values = {
        "card": card,
        "domain": card["domain"],
        "choice": evaluated["choice"],
        "reference": evaluated["reference"],
        "blend_weight": evaluated.get("blend_weight"),
        "latency": latency["candidates"] if latency and latency["models"] == evaluated.get("models") else {},
        "sources": evidence.metrics.get("label", {}).get("train_rows_by_source"),
        "scores": scores,
        "names": NAMES,
        "test_sets": TEST_SETS,
        "metric_rows": METRICS,
        "chosen": chosen,
        "recent": recent,
        "verdict": verdict,
        "unlimited": floors_sentence(evaluated[chosen], verdict["checks"]),
        "closed_by": [check for check in verdict["checks"] if closes(check)],
        "gates": {stage: found for stage, found in evidence.verdicts.items() if stage != "evaluate"},
        "slice_axis": (max(0.0, low), min(1.0, high)),
        "slice_groups": _grouped(card["slices"]),
        "confused": confused_pairs(card["confusion"], labels=card["domain"]["labels"]),
        "thin_labels": [item["label"] for item in card["classes"] if item["rows"] < card["min_slice_rows"]],
        "two_sided": 2 * card["confidence"] - 1,
        "facts": defaultdict(
            list, {stage: flatten(found) for stage, found in evidence.metrics.items() if stage != "evaluate"}
        ),
        "quality": label_quality(evidence.verdicts),
        "undecided_reasons": undecided_reasons(evidence.verdicts),
        "text_probe": evidence.metrics.get("bias_gate", {}).get("text_probe"),
    }
    return render("model_card.html.j2", values=values)


def closes(check: Mapping[str, Any]) -> bool:
    """Return whether a check of a verdict file closes its gate."""
    return check["outcome"] == "failed" or (check["outcome"] == "undecided" and bool(check["required"]))


def undecided_reasons(verdicts: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return each protected attribute on which a gate decided nothing, with the reason why that did not close it."""
    found: dict[str, str] = {}
    for stage in ("bias_gate", "evaluate"):
        for check in verdicts.get(stage, {}).get("checks", ()):
            if check["outcome"] == "undecided" and (reason := check["details"].get("reason")):
                found.setdefault(check["details"]["attribute"], reason)
    return sorted(found.items())


def confused_pairs(
    confusion: Sequence[Sequence[int]], *, labels: Sequence[str], n_pairs: int = 3
) -> list[dict[str, Any]]:
    """Return the most frequent errors: gold label, predicted label, rows, and share of the gold label's rows.

    `confusion` is (k, k), gold by predicted.
    """
    pairs: list[dict[str, Any]] = [
        {"gold": labels[i], "predicted": labels[j], "rows": n, "share": n / sum(row)}
        for i, row in enumerate(confusion)
        for j, n in enumerate(row)
        if i != j and n
    ]
    return sorted(pairs, key=lambda pair: (-pair["rows"], pair["gold"], pair["predicted"]))[:n_pairs]


def label_quality(verdicts: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Return the most informative checks of ingest to label, each as name, value and limit."""
    shown = (
        ("ingest", "rows", "Accepted rows", thousands),
        ("dedupe", "removed_share", "Repeated texts", percent),
        ("split", "train_rows", "Train rows", thousands),
        ("label", "coverage", "Labeled", percent),
        ("label", "kappa", "Kappa with gold", number),
    )
    found = []
    for stage, name, title, shape in shown:
        for check in verdicts.get(stage, {}).get("checks", ()):
            if check["name"] == name:
                limit = f"limit {check['limit']:g}" if isinstance(check["limit"], int | float) else ""
                found.append((title, shape(check["value"]), limit))
    return found


def flatten(content: Any, *, prefix: str = "", depth: int = 3) -> list[tuple[str, Any]]:
    """Return the numbers and texts of nested metrics as (`a.b.c`, value), sorted by name."""
    if isinstance(content, Mapping) and depth:
        return [
            item
            for key in sorted(content, key=str)
            for item in flatten(content[key], prefix=f"{prefix}.{key}" if prefix else str(key), depth=depth - 1)
        ]
    return [(prefix, content)] if isinstance(content, int | float | str) and prefix else []


def _scores(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return one candidate's metrics on one test set, each with its interval where it has one."""
    estimates = {}
    for key, _, _ in METRICS:
        bounds = (metrics[f"{key}_lower"], metrics[f"{key}_upper"])
        estimates[key] = {"value": metrics[key], "interval": None if None in bounds else bounds}
    return {
        "rows": metrics["rows"],
        "estimates": estimates,
        "calibration_error": metrics["calibration_error"],
        "calibration_null": [metrics[f"calibration_error_if_perfect{tail}"] for tail in ("", "_p95")],
    }


def _grouped(slices: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return slices by what they were cut by, in order of appearance."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in slices:
        groups.setdefault(str(row["slice"]), []).append(row)
    return list(groups.items())
