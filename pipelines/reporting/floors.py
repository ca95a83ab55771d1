"""What no check has required of a candidate: scores without a limit, and classes that it never answers right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

LIMITED = ("accuracy", "macro_f1", "lowest_recall", "log_loss", "brier")
TEST_SETS = ("recent", "anchor")


def never_found(scores: Mapping[str, Any]) -> list[str]:
    """Return the classes that a candidate never answers right, in neither test set; `scores` are by test set."""
    by_part = [scores[part].get("f1") or {} for part in TEST_SETS]
    classes = sorted({label for found in by_part for label in found})
    values = {label: [found[label] for found in by_part if found.get(label) is not None] for label in classes}
    return [label for label, known in values.items() if known and not any(known)]


def floors_sentence(scores: Mapping[str, Any], checks: Iterable[Mapping[str, Any]]) -> str:
    """Return a warning for a candidate that no absolute limit was set for, or that never finds a class, or ''."""
    names = {check["name"] for check in checks}
    parts = []
    if not names & {f"recent_{name}" for name in LIMITED}:
        parts.append(
            "No absolute limit is set for any score (evaluate.min_scores, evaluate.max_losses): the gate compares, "
            "and would open for a weak model that is as good as the others."
        )
    if missed := never_found(scores):
        limited = "" if "recent_lowest_recall" in names else " No limit is set for the lowest recall."
        parts.append(f"Never answered right, in neither test set: {', '.join(missed)}.{limited}")
    return " ".join(parts)
