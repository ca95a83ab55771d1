"""CSV: rows of cells; where quotes are broken, the region is read again line by line, so that no row is swallowed."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow.compute as pc

from pipelines.records.raw import refuse_columns
from pipelines.runtime.errors import InputError
from pipelines.sources.accounting import LONG_ROW, Account
from pipelines.sources.chunk import Gathered, RawChunk
from pipelines.sources.dialect import EXCEL, SAMPLE_LINES, Dialect, detect
from pipelines.sources.text import Text

csv.field_size_limit(2**31 - 1)  # ingest.max_text_chars limits the length of texts, not this
MAX_LINES, MAX_CHARS = 10_000, 4 * 2**20  # of a region in which a quote is open; in a longer one it is a stray quote
FEW_VALUES, FEW_SHAPES, MIN_SEEN = 20, 3, 5
Line = tuple[int, int, list[str] | None, str]  # lines spanned, first line from 1, cells or None, what is wrong


def read_csv(text: Text, *, stated: Dialect, chunk_rows: int) -> Iterator[RawChunk]:
    """Yield the rows of a CSV file; one with too few or too many cells is unreadable, never padded or cut."""
    account, blocks = text.account, text.blocks()
    lines, ended = _sample(blocks)
    excel = EXCEL.fullmatch(lines[0]) if lines else None
    if excel:
        stated = replace(stated, delimiter=stated.delimiter or excel[1])
        account.header_lines = 1
    dialect = detect(lines[account.header_lines :], stated=stated, name=account.file)
    account.notes["dialect"] = dialect.to_dict()
    rows = Rows(lines, blocks, ended=ended, dialect=dialect, begin=account.header_lines)
    header = rows.header(account)
    named = [at for at, name in enumerate(header) if name]
    refuse_columns([header[at] for at in named], file=account.file)
    chunk, whole = Gathered(account.file, header), len(named) == len(header)
    if not whole:
        account.notes["columns_without_name_and_value"] = len(header) - len(named)
    for number, (spanned, line, cells, wrong) in enumerate(rows, start=1):
        if spanned > 1:
            account.continued_lines += spanned - 1
            account.multiline_rows += 1
            account.long_row_lines += spanned if spanned > LONG_ROW else 0
        if cells is None:
            chunk.refuse(number, wrong, rows.raw(spanned))
        elif len(cells) == len(header):
            chunk.add(number, cells)
        elif cells:
            account.joined_rows += _joined(len(cells), len(header))
            where = f", line {line}" if rows.reread else ""
            chunk.refuse(number, f"{len(cells)} of {len(header)} fields{where}", rows.raw(spanned))
        else:
            account.blank_lines += 1
        if chunk.full(chunk_rows):
            yield _without_unnamed(chunk.take(), named, header) if not whole else chunk.take()
    account.reread_lines, account.ends_inside_row = rows.reread, rows.cut
    yield _without_unnamed(chunk.take(), named, header) if not whole else chunk.take()


def _joined(cells: int, columns: int) -> int:
    """Return how many rows follow the first in a row of so many cells: the last cell of a row is joined with the first
    of the next, or a delimiter is between them; 0 where the numbers do not fit.
    """
    if columns < 3 or cells < 2 * columns - 1:
        return 0
    if (cells - 1) % (columns - 1) == 0:
        return (cells - 1) // (columns - 1) - 1
    return cells // columns - 1 if cells % columns == 0 else 0


def _sample(blocks: Iterator[list[str]]) -> tuple[list[str], bool]:
    lines: list[str] = []
    for block in blocks:
        lines += block
        if len(lines) >= SAMPLE_LINES:
            return lines, False
    return lines, True


def _without_unnamed(chunk: RawChunk, named: Sequence[int], header: Sequence[str]) -> RawChunk:
    """Leave out columns without name and value; InputError when one has a value."""
    for at, name in enumerate(header):
        column = chunk.table.column(at)
        if not name and column.null_count < len(column):
            first = int(pc.index(pc.is_valid(column), True).as_py())
            raise InputError(
                f"{chunk.file}: column {at + 1} of {len(header)} has no name, but row {chunk.rows[first]} has the value "
                f"{str(column[first])[:60]!r} there: name it in the header line, or leave it out (pandas: "
                f"to_csv(index=False)). Found: {', '.join(header)}"
            )
    return replace(chunk, table=chunk.table.select(list(named)))


class Rows:
    """Rows of cells, each with the number of physical lines that it spans."""

    def __init__(
        self, lines: list[str], blocks: Iterator[list[str]], *, ended: bool, dialect: Dialect, begin: int
    ) -> None:
        self.lines, self.blocks, self.ended, self.dialect = lines, blocks, ended, dialect
        self.begin, self.before = begin, 0  # lines[begin:] are unread; `before` lines of the file were let go of
        self.reread = 0
        self.cut = False  # the file ends inside its last row
        self.cells = 0
        self._fits: Callable[[list[str]], bool] | None = None

    def header(self, account: Account) -> list[str]:
        """Return the names of the columns; blank lines may come before them."""
        begin = self.begin
        reader = csv.reader(self.lines[begin:], **self.dialect.format)
        try:
            cells = next((row for row in reader if any(cell.strip() for cell in row)), None)
        except csv.Error as error:
            raise InputError(f"{account.file}: the header line cannot be split into names: {error}") from error
        if cells is None:
            raise InputError(f"{account.file} is empty: expected a header line that names the columns")
        if reader.line_num > 1 and any("\n" in cell or "\r" in cell for cell in cells):
            raise InputError(
                f"{account.file}: a column name of the header spans several lines: {cells[-1][:60]!r}; is a quote not closed?"
            )
        self.begin += reader.line_num
        account.header_lines += reader.line_num
        self.cells = len(cells)
        self._fits = _ordinary(self.lines[self.begin :][:SAMPLE_LINES], self.dialect, self.cells)
        return [cell.strip() for cell in cells]

    def raw(self, spanned: int) -> str:
        """Return the text of the row that was yielded last."""
        return "".join(self.lines[self.begin - spanned : self.begin])

    def __iter__(self) -> Iterator[Line]:
        while True:
            unread: Any = iter(self.lines)
            unread.__setstate__(self.begin)  # no copy: this may be repeated for each line of a block
            reader, offset, broken = csv.reader(unread, **self.dialect.format), self.begin, False
            try:
                for cells in reader:
                    spanned = offset + reader.line_num - self.begin
                    if spanned > 1 and self._glued(spanned, valid=True):
                        broken = True
                        break
                    if cells and self._cut(spanned, cells):
                        self.cut = True
                        yield self._take(
                            spanned, None, f"{len(cells)} of {self.cells} fields (the file ends inside the row)"
                        )
                    else:
                        yield self._take(spanned, cells)
            except csv.Error as error:
                broken = True
                if "unexpected end" in str(error):
                    if not self.ended and self._may_grow():
                        self._fill()
                        continue
                    spanned = len(self.lines) - self.begin
                    if self.ended and not self._glued(spanned, valid=False):
                        yield self._open_at_the_end(spanned)
                        continue
            if broken:
                yield self._alone()
            elif self.ended:
                return
            else:
                self._fill()

    def _take(self, spanned: int, cells: list[str] | None, wrong: str = "") -> Line:
        line = self.before + self.begin + 1
        self.begin += spanned
        return spanned, line, cells, wrong

    def _fill(self) -> None:
        """Let go of the lines that were read, and take the next block."""
        block = next(self.blocks, None)
        self.ended = block is None
        self.before += self.begin
        self.lines = self.lines[self.begin :] + (block or [])
        self.begin = 0

    def _may_grow(self) -> bool:
        region = self.lines[self.begin :]
        return len(region) <= MAX_LINES and (len(region) == 1 or sum(map(len, region)) <= MAX_CHARS)

    def _cut(self, spanned: int, cells: list[str]) -> bool:
        """Whether the last row of the file has no line end and is incomplete, or ends with a delimiter."""
        last = self.lines[self.begin + spanned - 1]
        if last.endswith(("\n", "\r")):
            return False
        return len(cells) != self.cells or last.endswith(str(self.dialect.delimiter))

    def _open_at_the_end(self, spanned: int) -> Line:
        """Return the row in which the file ends: none of its lines is a row by itself."""
        region = self.lines[self.begin :]
        loose = csv.reader(region, **{**self.dialect.format, "strict": False})
        n = len(next(loose, []))
        whole = region[-1].endswith(("\n", "\r"))
        self.cut = not whole
        cause = f"broken quoting in line {self.before + self.begin + 1}: " if whole else ""
        return self._take(spanned, None, f"{cause}{n} of {self.cells} fields (the file ends inside the row)")

    def _glued(self, spanned: int, *, valid: bool) -> bool:
        """Whether lines of a row that spans several are rows by themselves, so that a stray quote has joined them.

        A line of a well-formed row must also look like the ordinary rows of the file, and half of its lines must.
        """
        inner = self.lines[self.begin + 1 : self.begin + spanned]
        if valid and self._fits is None:
            return False
        fits = [cells for line in inner if (cells := _split(line, self.dialect, self.cells)) is not None]
        if not valid:
            return bool(fits)
        return 2 * sum(map(self._fits, fits)) >= len(inner) if self._fits else False

    def _alone(self) -> Line:
        """Return the first unread line as a row of its own."""
        self.reread += 1
        line = self.lines[self.begin]
        cells = _split(line, self.dialect, self.cells)
        if cells is not None:
            return self._take(1, cells)
        n = len(_plain(line, self.dialect))
        number = self.before + self.begin + 1
        return self._take(1, None, f"broken quoting in line {number}: {n} of {self.cells} fields")


def _split(line: str, dialect: Dialect, cells: int) -> list[str] | None:
    """Return the cells of one line, quotes as plain characters where they are broken; None if the number is wrong."""
    if line.count(str(dialect.delimiter)) < cells - 1:
        return None
    escaped = [replace(dialect, escape="\\")] if "\\" in line and not dialect.escape else []
    for tried in (dialect, *escaped):
        try:
            row = next(csv.reader([line], **tried.format))
        except csv.Error:
            continue
        if len(row) == cells:
            return row
    row = _plain(line, dialect)
    return row if len(row) == cells else None


def _plain(line: str, dialect: Dialect) -> list[str]:
    """Return a line split at every delimiter; quotes around a whole cell are taken off."""
    quote = dialect.quote or '"'
    row = line.rstrip("\r\n").split(str(dialect.delimiter))
    quoted = [len(cell) > 1 and cell.startswith(quote) and cell.endswith(quote) for cell in row]
    return [cell[1:-1].replace(quote * 2, quote) if whole else cell for cell, whole in zip(row, quoted, strict=True)]


def _ordinary(lines: Sequence[str], dialect: Dialect, cells: int) -> Callable[[list[str]], bool] | None:
    """Return whether cells look like those of the file's rows of one line: few values or few shapes per column.

    None when too few rows, or no column, are regular enough to decide.
    """
    rows, reader, before = [], csv.reader(lines, **dialect.format), 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            before = reader.line_num
            continue
        if len(row) == cells and reader.line_num == before + 1:
            rows.append(row)
        before = reader.line_num
    columns = list(zip(*rows, strict=True)) if len(rows) >= MIN_SEEN else []
    tests: list[tuple[int, set[str], bool]] = []
    for at, column in enumerate(columns):
        values, shapes = set(column), {_shape(cell) for cell in column}
        if len(values) <= FEW_VALUES and len(values) * 2 < len(column):
            tests.append((at, values, False))
        elif len(shapes) <= FEW_SHAPES and any("9" in shape for shape in shapes):
            tests.append((at, shapes, True))
    if not any(wanted != {""} for _, wanted, _ in tests):
        return None
    return lambda row: all((_shape(row[at]) if shape else row[at]) in wanted for at, wanted, shape in tests)


def _shape(cell: str) -> str:
    """Return a cell with its runs of digits as 9 and its runs of letters as a."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", cell[:64]))
