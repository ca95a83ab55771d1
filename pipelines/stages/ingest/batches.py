"""Chunks of a source put together to batches, and the outcome of every row of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.records.conversion import ACCEPTED, REJECTED, to_records
from pipelines.records.domain import Domain
from pipelines.records.validation import Origin
from pipelines.sources.chunk import CHUNK_BYTES, RawChunk, UnreadableRow
from pipelines.stages.ingest.quarantine import in_order, rejected_rows, rows_without_text, unreadable_rows
from pipelines.stages.ingest.versions import VersionColumn

BEFORE, AFTER, WITHOUT_TEXT = "before_window", "after_window", "without_text"


@dataclass(frozen=True)
class Batch:
    """Neighboring chunks of equal columns: the unit of work."""

    table: pa.Table
    origin: Origin
    unreadable: tuple[tuple[str, UnreadableRow], ...] = ()  # file, row


@dataclass
class RowOutcomes:
    """What became of the rows of one batch."""

    records: pd.DataFrame  # accepted, canonical
    origin: pd.DataFrame  # file, row, place in the batch and version of each of them
    withheld: pd.DataFrame  # id, place and version of valid rows outside the window or without text
    lost: pd.DataFrame  # rows for quarantine
    counts: dict[str, int] = field(default_factory=dict)
    redactions: dict[str, int] = field(default_factory=dict)
    lost_by_group: dict[str, dict[str, int]] = field(default_factory=dict)


def batches(chunks: Iterable[RawChunk], *, chunk_rows: int) -> Iterator[Batch]:
    """Yield neighboring chunks of equal columns, put together until they hold `chunk_rows` rows."""
    waiting: list[RawChunk] = []
    rows, size = 0, 0
    for chunk in chunks:
        rows, size = rows + chunk.table.num_rows, size + chunk.table.nbytes
        if waiting and (
            rows > chunk_rows or size > CHUNK_BYTES or waiting[0].table.column_names != chunk.table.column_names
        ):
            yield _together(waiting)
            waiting, rows, size = [], chunk.table.num_rows, chunk.table.nbytes
        waiting.append(chunk)
    if waiting:
        yield _together(waiting)


def convert_batch(
    batch: Batch,
    *,
    domain: Domain,
    start: date,
    end: date,
    max_text_chars: int,
    keep_without_text: bool,
    versions: VersionColumn | None = None,
) -> RowOutcomes:
    """Give each row of a batch exactly one outcome: accepted, rejected, without text, or outside the window."""
    since, until = (pd.Timestamp(day, tz="UTC") for day in (start, end))
    drops_empty = domain.schema.requires_text and not keep_without_text

    def outcomes(records: pd.DataFrame, reasons: np.ndarray) -> np.ndarray:
        received = records["received_at"]
        empty = (records["text"].str.strip() == "") & drops_empty
        return np.select(
            [received >= until, (received < since) & (reasons == ""), reasons != "", empty],
            [AFTER, BEFORE, REJECTED, WITHOUT_TEXT],
            default=ACCEPTED,
        )

    converted = to_records(
        batch.table, domain=domain, origin=batch.origin, max_text_chars=max_text_chars, outcomes=outcomes
    )
    files, rows = batch.origin.files, batch.origin.rows
    left_out, accepted, places = converted.left_out, converted.records, converted.places
    textless = left_out[left_out["outcome"] == WITHOUT_TEXT]
    lost = pd.concat(
        [
            unreadable_rows(batch.unreadable),
            rejected_rows(converted.rejected, table=batch.table, origin=batch.origin),
            rows_without_text(textless, origin=batch.origin),
        ]
    )
    late = accepted["gold_at"] > until
    accepted[["gold", "gold_at"]] = accepted[["gold", "gold_at"]].mask(late)
    order = (
        np.zeros(batch.table.num_rows, dtype=np.int64)
        if versions is None
        else versions.of(batch.table, origin=batch.origin)
    )
    others = left_out.index[left_out["outcome"] != REJECTED].to_numpy(dtype=np.int64)
    n_outcome = {name: int((left_out["outcome"] == name).sum()) for name in (BEFORE, AFTER)}
    return RowOutcomes(
        records=accepted,
        origin=pd.DataFrame({"file": files[places], "row": rows[places], "place": places, "version": order[places]}),
        withheld=pd.DataFrame({"id": left_out.loc[others, "id"], "place": others, "version": order[others]}),
        lost=in_order(lost, files=files),
        counts={
            "read": batch.table.num_rows + len(batch.unreadable),
            "outside_window": sum(n_outcome.values()),
            **n_outcome,
            "rejected": len(batch.unreadable) + len(converted.rejected),
            "without_text": len(textless),
            "gold_not_yet_known": int(late.sum()),
        },
        redactions=converted.redactions,
        lost_by_group=_by_group(textless, [item.name for item in domain.schema.protected]),
    )


def _together(chunks: Sequence[RawChunk]) -> Batch:
    files = np.repeat(np.array([chunk.file for chunk in chunks], dtype=object), [c.table.num_rows for c in chunks])
    return Batch(
        table=pa.concat_tables([chunk.table for chunk in chunks]).combine_chunks(),
        origin=Origin(files, np.concatenate([chunk.rows for chunk in chunks])),
        unreadable=tuple((chunk.file, row) for chunk in chunks for row in chunk.unreadable),
    )


def _by_group(records: pd.DataFrame, attributes: Sequence[str]) -> dict[str, dict[str, int]]:
    return {
        name: {"member": int((records[name] == 1).sum()), "rest": int((records[name] == 0).sum())}
        for name in attributes
    }
