"""Parquet: batches of rows; text that is not UTF-8 is found before anything touches it, row by row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.records.raw import refuse_columns, strings_of
from pipelines.runtime.errors import InputError
from pipelines.sources.accounting import Account
from pipelines.sources.chunk import RawChunk, UnreadableRow
from pipelines.sources.listing import Found
from pipelines.sources.text import unreadable


def read_parquet(file: Found, account: Account, *, chunk_rows: int) -> Iterator[RawChunk]:
    """Yield the rows of a Parquet file; a row with bytes that are not text is unreadable."""
    name, first = file.name, 1
    try:
        with file.system.open(file.address, "rb") as stream:
            content = pq.ParquetFile(stream)
            refuse_columns(content.schema_arrow.names, file=name)
            account.stated = content.metadata.num_rows
            for batch in content.iter_batches(batch_size=chunk_rows, use_threads=False):
                rows = np.arange(first, first + batch.num_rows)
                wrong = _not_text(batch)
                whole = batch.filter(pa.array(~np.isin(np.arange(len(rows)), list(wrong)))) if wrong else batch
                refused = tuple(UnreadableRow(int(rows[at]), reason, "") for at, reason in sorted(wrong.items()))
                good = np.delete(rows, list(wrong))
                yield RawChunk(name, strings_of(pa.Table.from_batches([whole]), file=name, first=first), good, refused)
                first += len(rows)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{name} is not readable as Parquet: {error}") from error
    except OSError as error:
        if error.errno is None:
            raise InputError(f"{name} is not readable as Parquet: {error}") from error
        raise unreadable(name, error) from error


def _not_text(batch: pa.RecordBatch) -> dict[int, str]:
    """Return the rows of a batch, by position, in which a column that declares text holds other bytes, and why."""
    wrong: dict[int, str] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            for at in range(len(column)):
                try:
                    column[at].as_py()
                except UnicodeDecodeError as error:
                    found = error.object[max(error.start - 20, 0) : error.start + 20]
                    wrong.setdefault(at, f"column {name!r} is not UTF-8: byte {error.start} of its text, {found!r}")
    return wrong
