"""The gate of dedupe: a removal that swallows the data is a fault of the source or of the parameters, not a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.gates.conservation import check_conservation
from pipelines.gates.verdict import Check, Verdict
from pipelines.stages.dedupe.duplicates import Deduplicated
from pipelines.stages.dedupe.params import DedupeParams

SHOWN = 5
PLACEHOLDER_CHARS = 30


def check_dedupe(found: Deduplicated, *, params: DedupeParams, overrides: Sequence[dict[str, Any]] = ()) -> Verdict:
    """The verdict over what came in and out, the share removed, the largest cluster, and the search cut short."""
    clusters = found.dropped["kept_id"].value_counts()
    largest = int(clusters.iloc[0]) + 1 if len(clusters) else min(found.n_texts, 1)
    texts = max(found.n_texts, 1)
    placeholder, repeats = _placeholder(found)
    needed = params.min_rows if found.n_texts else 0  # a domain without text has nothing to compare
    shared: dict[str, Any] = {"rows": found.n_texts, "min_rows": needed, "required": True}
    checks = [
        check_conservation(found.came_in, {"kept": found.kept["id"], "dropped": found.dropped["id"]}),
        Check.at_least(
            "kept_rows", len(found.kept), limit=1, rows=found.n_records, min_rows=1, required=True,
            sentence=f"{len(found.kept)} of {found.n_records} records are kept",
        ),
        Check.at_most(
            "removed_share", len(found.dropped) / texts, limit=params.max_removed_share, **shared,
            sentence=f"{len(found.dropped)} of {found.n_texts} records with text repeat a kept one",
        ),
        Check.at_most(
            "largest_cluster_share", largest / texts, limit=params.max_cluster_share, **shared,
            sentence=f"the most repeated text stands for {largest} of {found.n_texts} records with text",
            details={"kept_id": str(clusters.index[0])} if len(clusters) else {},
        ),
        Check.at_most(
            "placeholder_share", repeats / texts, limit=params.max_placeholder_share, **shared,
            sentence=f"{repeats} records repeat the short text {placeholder!r}: let the domain make a placeholder an empty text"
            if repeats else "no short text is repeated",
        ),
        Check.at_most(
            "cut_share", found.n_cut / texts, limit=params.max_cut_share, rows=found.n_texts, min_rows=0,
            required=True,
            sentence=f"{found.n_cut} records met the limit of {params.near_duplicates.max_comparisons} comparisons; where the "
            "texts share much boilerplate, raise near_duplicates.max_comparisons or near_duplicates.rows",
        ),
    ]  # fmt: skip
    shown = _most_repeated(found, clusters.head(SHOWN).to_dict())
    return Verdict.of("dedupe", checks, shown_records=shown, overrides=overrides)


def _placeholder(found: Deduplicated) -> tuple[str, int]:
    """Return the short text that most records repeat exactly, and how many do."""
    short = found.kept.loc[found.kept["text"].str.strip().str.len().between(1, PLACEHOLDER_CHARS)].set_index("id")[
        "text"
    ]
    exact = found.dropped.loc[found.dropped["reason"] == "exact", "kept_id"]
    counts = exact[exact.isin(short.index)].value_counts()
    return (str(short[counts.index[0]]), int(counts.iloc[0])) if len(counts) else ("", 0)


def _most_repeated(found: Deduplicated, clusters: dict[Any, int]) -> list[dict[str, Any]]:
    texts = found.kept.set_index("id")["text"]
    return [
        {"kept_id": str(key), "repeated": int(n), "text": str(texts.get(key, ""))[:200]} for key, n in clusters.items()
    ]
