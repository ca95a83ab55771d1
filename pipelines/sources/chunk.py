"""What a source yields: raw rows as strings with their files and row numbers, and the rows that it could not read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# A chunk also ends at this many bytes, so that long texts do not let memory grow.
CHUNK_BYTES = 32 * 2**20
RAW_CHARS = 1000  # of an unreadable row that quarantine shows


@dataclass(frozen=True)
class UnreadableRow:
    """A row that could not be split into cells: its number, why, and its start."""

    row: int
    reason: str
    raw: str
    nulls: int = 0  # null characters of the whole row, as in a hole that a bad copy leaves in a file


@dataclass(frozen=True)
class RawChunk:
    """Rows of one file: string columns of equal names in `table`, row numbers from 1 in `rows`."""

    file: str
    table: pa.Table
    rows: np.ndarray
    unreadable: tuple[UnreadableRow, ...] = ()


class Gathered:
    """Rows gathered until there are enough of them for a chunk."""

    def __init__(self, file: str, header: list[str]) -> None:
        self.file, self.header = file, header
        self._clear()

    def _clear(self) -> None:
        self.rows: list[list[str]] = []
        self.numbers: list[int] = []
        self.unreadable: list[UnreadableRow] = []
        self.size = 0

    def add(self, number: int, row: list[str]) -> None:
        """Take a row of cells; an empty one becomes null."""
        self.rows.append(row)
        self.numbers.append(number)
        self.size += sum(map(len, row))

    def refuse(self, number: int, reason: str, raw: str) -> None:
        """Take a row that could not be split into cells."""
        self.unreadable.append(UnreadableRow(number, reason, raw[:RAW_CHARS], raw.count("\0")))

    def full(self, chunk_rows: int) -> bool:
        """Return whether there are enough rows for a chunk."""
        return len(self.rows) >= chunk_rows or self.size >= CHUNK_BYTES or len(self.unreadable) >= chunk_rows

    def take(self) -> RawChunk:
        """Return what was gathered, and start again."""
        columns = zip(*self.rows, strict=True) if self.rows else ([] for _ in self.header)
        table = pa.table([_nulls_for_blanks(cells) for cells in columns], names=self.header)
        chunk = RawChunk(self.file, table, np.array(self.numbers, dtype=np.int64), tuple(self.unreadable))
        self._clear()
        return chunk


def _nulls_for_blanks(cells: Sequence[str]) -> pa.Array:
    """Return cells as an array, null where they are empty."""
    column = pa.array(cells, pa.large_string())
    empty = pc.equal(column, "")
    return pc.if_else(empty, pa.scalar(None, pa.large_string()), column) if pc.any(empty).as_py() else column
