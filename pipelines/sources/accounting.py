"""What goes in, counted without being parsed, next to what came out: no row may vanish unexplained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.sources.chunk import RawChunk

SHOWN = 50  # files that metrics.json lists
ODD = {"columns_missing", "repeated_keys"}  # notes of files to look at
LONG_ROW = 50  # physical lines; a longer row is suspicious where hardly any other row spans two
RARE = 0.01  # share of rows
BYTE_ORDER_MARK = "byte_order_mark"  # U+FEFF: removed and counted, but it stands for nothing, so that no text is lost
REMOVED = np.array([(code < 32 and code not in (9, 10, 13)) or code == 127 for code in range(256)])  # one byte each


@dataclass
class Account:
    """One file, day or query.

    `stated` is counted without the parser: physical lines of a text, rows of a Parquet footer, of SQL's `count(*)` or
    of a service's total. It must equal the sum of what each line or row became.
    """

    file: str
    stated: int = 0
    rows: int = 0  # handed over, split into cells
    unreadable: int = 0  # handed over as rows that could not be split
    header_lines: int = 0
    blank_lines: int = 0
    continued_lines: int = 0  # lines after the first of rows that span several
    repeated: int = 0  # rows that the source itself leaves out because it has handed them over before
    reread_lines: int = 0  # lines of a region with broken quotes, each read by itself
    joined_rows: int = 0  # rows after the first in unreadable lines that hold several, without a line end between them
    multiline_rows: int = 0
    long_row_lines: int = 0  # lines of rows that span more than LONG_ROW lines
    characters: dict[str, int] = field(default_factory=dict)  # removed or replaced, by kind
    ends_inside_row: bool = False  # the file was cut: its last row is incomplete and has no line end
    columns: tuple[str, ...] = ()
    not_counted: str = ""  # why the source did not state the number of its rows
    notes: dict[str, Any] = field(default_factory=dict)  # dialect, bytes, dropped columns

    @property
    def difference(self) -> int:
        """Return the lines or rows that went in and did not come out; negative when more came out."""
        explained = self.header_lines + self.blank_lines + self.continued_lines + self.repeated
        return self.stated - explained - self.rows - self.unreadable

    @property
    def suspicious_lines(self) -> int:
        """Return the lines of very long rows in a file where hardly any row spans two lines."""
        return self.long_row_lines if self.multiline_rows <= RARE * self.rows + 1 else 0

    def count(self, kind: str, n: int) -> None:
        """Count characters that were removed or replaced."""
        if n:
            self.characters[kind] = self.characters.get(kind, 0) + n

    def to_dict(self) -> dict[str, Any]:
        """Return the account without its zeros."""
        numbers = {name: value for name, value in vars(self).items() if value and name != "columns"}
        return {**numbers, **({"difference": self.difference} if self.difference else {})}


@dataclass(frozen=True)
class LeftOut:
    """A file that a pattern matched and that was not read; a harmless one holds no data."""

    file: str
    reason: str
    harmless: bool


@dataclass
class Ledger:
    """The accounts of everything that a source has read, and the files that it has not."""

    accounts: dict[str, Account] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything: the source is read again."""
        self.accounts.clear()
        self.left_out.clear()

    def of(self, file: str) -> Account:
        """Return the account of a file, a new one for a new file."""
        return self.accounts.setdefault(file, Account(file))

    def watched(self, chunks: Iterable[RawChunk]) -> Iterator[RawChunk]:
        """Yield the chunks; count the rows handed over and their characters that conversion removes."""
        for chunk in chunks:
            account = self.of(chunk.file)
            account.columns = account.columns or tuple(chunk.table.column_names)
            account.rows += chunk.table.num_rows
            account.unreadable += len(chunk.unreadable)
            account.count("control", sum(row.nulls for row in chunk.unreadable))
            for kind, n in odd_characters(chunk.table).items():
                account.count(kind, n)
            yield chunk

    def sum(self, name: str) -> int:
        """Return the sum of one number over the accounts."""
        return sum(getattr(account, name) for account in self.accounts.values())

    def characters(self) -> dict[str, int]:
        """Return the characters that were removed or replaced, by kind."""
        kinds = sorted({kind for account in self.accounts.values() for kind in account.characters})
        return {kind: sum(account.characters.get(kind, 0) for account in self.accounts.values()) for kind in kinds}

    def unexplained(self) -> list[str]:
        """Return a sentence for each file whose lines or rows do not add up, or that could not be read."""
        return [
            *(f"{item.file} was not read: {item.reason}" for item in self.left_out if not item.harmless),
            *(
                f"{account.file}: {account.stated} lines or rows went in, {account.stated - account.difference} came out"
                for account in self.accounts.values()
                if account.difference
            ),
        ]

    def note_missing_columns(self) -> list[str]:
        """Note, per file, the columns that others have and it has not; return the names of these files."""
        everywhere = dict.fromkeys(name for account in self.accounts.values() for name in account.columns)
        lacking = []
        for account in self.accounts.values():
            missing = [name for name in everywhere if name not in account.columns]
            if missing and account.columns:
                account.notes["columns_missing"] = missing
                lacking.append(account.file)
        return lacking

    @property
    def not_counted(self) -> str:
        """Return why the rows of a source could not be counted, or nothing."""
        return next((account.not_counted for account in self.accounts.values() if account.not_counted), "")

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `metrics.json: accounting`; files with something to report are listed first."""
        names = ("stated", "rows", "unreadable", "header_lines", "blank_lines", "continued_lines", "repeated")
        order = sorted(
            self.accounts.values(),
            key=lambda item: (
                not item.difference,
                not item.ends_inside_row,
                not item.joined_rows,
                not item.characters,
                not item.notes.keys() & ODD,
            ),
        )
        return {
            **{name: self.sum(name) for name in (*names, "joined_rows", "reread_lines", "difference")},
            "characters": self.characters(),
            "files_matched": len(self.accounts) + len(self.left_out),
            "files_read": len(self.accounts),
            "not_read": [vars(item) for item in self.left_out[:SHOWN]],
            "files": [item.to_dict() for item in order[:SHOWN]],
        }


def odd_characters(table: pa.Table) -> dict[str, int]:
    """Return how many characters of columns of strings are control characters, which conversion removes or, U+0085,
    makes a line end, how many are U+FEFF, which it removes, and how many are U+FFFD, which stands for a character that
    was lost before. Counted in the bytes of UTF-8, which costs little.
    """
    removed = marks = replaced = 0
    for column in table.columns:
        for chunk in column.chunks:
            offsets, data = chunk.buffers()[1:]
            if data is None or not len(chunk):
                continue
            bounds = np.frombuffer(offsets, dtype=np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
            content = np.frombuffer(data, dtype=np.uint8)[bounds[0] : bounds[-1]]
            removed += int(np.count_nonzero(REMOVED[content]))
            lead = np.flatnonzero((content == 0xC2) | (content == 0xEF))  # a character of two or three bytes follows
            if not len(lead):
                continue
            one, two, three = content[lead], content[lead + 1], content[np.minimum(lead + 2, len(content) - 1)]
            removed += int(np.count_nonzero((one == 0xC2) & (two < 0xA0)))
            marks += int(np.count_nonzero((one == 0xEF) & (two == 0xBB) & (three == 0xBF)))
            replaced += int(np.count_nonzero((one == 0xEF) & (two == 0xBF) & (three == 0xBD)))
    return {"control": removed, BYTE_ORDER_MARK: marks, "replacement": replaced}
