"""Rows that did not become records, each with its place, its reason and an excerpt without personal data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.records.conversion import clean_table
from pipelines.records.redaction import clean, redact
from pipelines.records.validation import VALUE_CHARS, Origin
from pipelines.sources.chunk import UnreadableRow

COLUMNS = ("file", "row", "id", "kind", "reason", "raw")


def rejected_rows(reasons: dict[int, str], *, table: pa.Table, origin: Origin) -> pd.DataFrame:
    """Return the rejected rows of a batch; `reasons` maps a row's position in `table` to why."""
    places = np.array(sorted(reasons), dtype=np.int64)
    shown = clean_table(table.take(pa.array(places))).to_pandas()
    shown = shown.apply(lambda column: column.str.slice(0, VALUE_CHARS)) if len(places) else shown
    lines = [
        "; ".join(f"{name}={value}" for name, value in row.items() if not pd.isna(value))
        for row in shown.to_dict("records")
    ]
    return _rows(
        files=origin.files[places],
        rows=origin.rows[places],
        kind="rejected",
        reasons=_safe([reasons[int(place)] for place in places]),
        raw=_safe(lines),
    )


def unreadable_rows(rows: Sequence[tuple[str, UnreadableRow]]) -> pd.DataFrame:
    """Return the rows, each with its file, that the source could not split into cells."""
    return _rows(
        files=[file for file, _ in rows],
        rows=[row.row for _, row in rows],
        kind="rejected",
        reasons=_safe([row.reason for _, row in rows]),
        raw=_safe([row.raw for _, row in rows]),
    )


def rows_without_text(records: pd.DataFrame, *, origin: Origin) -> pd.DataFrame:
    """Return records with an empty text, whose index is their position in the batch."""
    places = records.index.to_numpy(dtype=np.int64)
    frame = _rows(
        files=origin.files[places],
        rows=origin.rows[places],
        kind="without_text",
        reasons=["the text is empty"] * len(places),
        raw=[None] * len(places),
    )
    return frame.assign(id=records["id"].astype("str").to_numpy(dtype=object))


def in_order(lost: pd.DataFrame, *, files: np.ndarray) -> pd.DataFrame:
    """Sort lost rows as the source had them: file by file, row by row."""
    order = {file: place for place, file in enumerate(dict.fromkeys([*files, *lost["file"]]))}
    return lost.iloc[np.lexsort((lost["row"], lost["file"].map(order)))].reset_index(drop=True)


def _rows(*, files: Any, rows: Any, kind: str, reasons: list[str], raw: Sequence[str | None]) -> pd.DataFrame:
    content = {"file": files, "row": rows, "id": None, "kind": kind, "reason": reasons, "raw": list(raw)}
    frame = pd.DataFrame(content, columns=list(COLUMNS), dtype=object)
    return frame.astype({"row": "int64"})


def _safe(texts: list[str]) -> list[str]:
    """Return the texts cleaned and redacted: quarantine holds no more personal data than the records do."""
    import polars as pl

    return redact(clean(pl.Series(texts, dtype=pl.String)))[0].to_list()
