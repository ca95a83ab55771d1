"""What a source yields: raw rows as strings, with the file and row number of each, and the rows it could not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    from datetime import date

    import numpy as np
    import pandas as pd
    import pyarrow as pa

# A chunk also ends at this many bytes, so that long texts do not make memory depend on luck.
CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class UnreadableRow:
    """A row that has no cells to speak of: where it stands, why, and what was there."""

    row: int
    reason: str
    raw: str


@dataclass(frozen=True)
class RawChunk:
    """Rows of one file: string columns of equal names in `table`, row numbers from 1 in `rows`."""

    file: str
    table: pa.Table
    rows: np.ndarray
    unreadable: tuple[UnreadableRow, ...] = ()


class Source(Protocol):
    """Anything that gives the raw rows of a half-open window of UTC days; more rows than asked for do no harm."""

    def read(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        """Chunks of at most `chunk_rows` rows, always in the same order."""
        ...


def refuse_duplicated_columns(names: Iterable[str], *, file: str) -> None:
    """InputError when a file names a column twice: nobody knows which one is meant."""
    names = list(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"{file}: column {twice[0]!r} stands there {names.count(twice[0])} times; keep one. "
            f"Found: {', '.join(names)}"
        )


def whole_characters(text: str) -> str:
    """The text with halves of characters (lone surrogates, as of a cut emoji in JSON) replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def strings_of(table: pa.Table, *, file: str) -> pa.Table:
    """The table with every column as strings; times in ISO form, lists and structs as JSON, null stays null."""
    import json

    import pyarrow as pa

    columns = []
    for name, given in zip(table.column_names, table.columns, strict=True):
        kind = given.type
        if pa.types.is_nested(kind):
            cells = [None if cell is None else json.dumps(cell, default=str) for cell in given.to_pylist()]
            columns.append(pa.array(cells, pa.large_string()))
            continue
        try:
            exact = given.cast(pa.timestamp("us", tz=kind.tz), safe=False) if pa.types.is_timestamp(kind) else given
            columns.append(exact if kind == pa.large_string() else exact.cast(pa.large_string()))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(f"{file}: column {name!r} of type {kind} is no text: {error}") from error
    return pa.table(columns, names=table.column_names)


def strings_of_frame(frame: pd.DataFrame, *, file: str) -> pa.Table:
    """A pandas frame as a table of strings."""
    import pyarrow as pa

    refuse_duplicated_columns(map(str, frame.columns), file=file)
    for name in frame.columns:
        if frame[name].dtype == object:  # mixed cells have no common type but text
            cells = frame[name]
            frame = frame.assign(**{name: cells.where(cells.isna(), cells.map(str)).astype("str")})
    return strings_of(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), file=file)
