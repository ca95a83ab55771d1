"""What a source yields: raw rows as strings, with the file and row number of each, and the rows it could not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import date

    import numpy as np
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
