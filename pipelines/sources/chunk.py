"""What a source yields: raw rows as strings with their files and row numbers, and the rows that it could not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import date

    import numpy as np
    import pyarrow as pa

# A chunk also ends at this many bytes, so that long texts do not let memory grow.
CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class UnreadableRow:
    """A row that could not be split into cells: its number, why, and its start."""

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
    """Anything that yields the raw rows of a half-open window of UTC days; rows outside the window are filtered
    later.
    """

    def read(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        """Yield chunks of at most `chunk_rows` rows, always in the same order."""
        ...
