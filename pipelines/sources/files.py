"""Files: CSV, JSON lines (both also compressed) and Parquet, by path or glob, local or at any fsspec address."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from pipelines.records.raw import refuse_duplicated_columns, strings_of
from pipelines.records.spelling import cell_of, whole_characters
from pipelines.runtime.errors import InputError
from pipelines.sources.chunk import CHUNK_BYTES, RawChunk, UnreadableRow

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
JSON_LINES = (".jsonl", ".ndjson", ".json")
RAW_CHARS = 1000  # of an unreadable row that quarantine shows


@dataclass(frozen=True)
class FilesSource:
    """All rows of all files that the patterns name, in order of their addresses; ingest keeps those of the window."""

    paths: Sequence[str]
    encoding: str
    root: Path

    def read(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        """Yield chunks file by file."""
        for name, system, address in self.addresses():
            suffixes = [suffix.lower() for suffix in Path(address).suffixes]
            kind = next((suffix for suffix in reversed(suffixes) if suffix not in COMPRESSIONS), "")
            if system.size(address) == 0:
                raise InputError(f"{name} is empty (0 bytes): expected a file with a header line")
            if kind == ".parquet":
                yield from _parquet(name, system, address, chunk_rows)
                continue
            keys: list[str] = []
            if kind in JSON_LINES:
                with system.open(address, "rb", compression="infer") as stream:
                    keys = _json_keys(name, stream, self.encoding)
            with system.open(address, "rb", compression="infer") as stream:
                if kind == ".csv":
                    yield from _csv(name, stream, self.encoding, chunk_rows)
                elif kind in JSON_LINES:
                    yield from _json_lines(name, stream, self.encoding, chunk_rows, keys=keys)
                else:
                    raise InputError(f"{name}: unknown kind of file: expected .csv, .csv.gz, .parquet or .jsonl")

    def addresses(self) -> list[tuple[str, Any, str]]:
        """Return (name to show, file system, address) of every file, each once, sorted by name."""
        from fsspec.core import url_to_fs

        found: dict[str, tuple[Any, str]] = {}
        for pattern in self.paths:
            local = "://" not in pattern and "::" not in pattern
            try:
                system, address = url_to_fs(str(self.root / pattern) if local else pattern)
            except (ImportError, ValueError) as error:
                raise InputError(f"ingest.files.paths: {pattern!r} cannot be opened: {error}") from error
            matches = sorted(map(str, system.glob(address))) if any(sign in address for sign in "*?[") else [address]
            matches = [match for match in matches if system.isfile(match)]
            if not matches and local and system.isdir(address):
                files = f"{pattern.rstrip('/')}/*.csv"
                raise InputError(f"ingest.files.paths: {pattern!r} is a folder: expected files, as in {files!r}")
            if not matches:
                where = "relative paths start at PERENNIAL_DATA, or else at the repository root"
                raise InputError(
                    f"ingest.files.paths: {pattern!r} matches no file (searched for {address}); "
                    + (where if local else "check the address and its server")
                )
            for match in matches:
                found[_shown(match, self.root) if local else system.unstrip_protocol(match)] = (system, match)
        return [(name, *found[name]) for name in sorted(found)]


def _shown(address: str, root: Path) -> str:
    """Return a path without what differs between machines: it is written to quarantine."""
    path = Path(address)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _parquet(name: str, system: Any, address: str, chunk_rows: int) -> Iterator[RawChunk]:
    import pyarrow.parquet as pq

    with system.open(address, "rb") as stream:
        try:
            file = pq.ParquetFile(stream)
            refuse_duplicated_columns(file.schema_arrow.names, file=name)
            first = 1
            for batch in file.iter_batches(batch_size=chunk_rows, use_threads=False):
                table = strings_of(pa.Table.from_batches([batch]), file=name, first=first)
                yield RawChunk(name, table, np.arange(first, first + table.num_rows))
                first += table.num_rows
        except pa.ArrowException as error:
            raise InputError(f"{name} is not readable as Parquet: {error}") from error


def _csv(name: str, stream: IO[bytes], encoding: str, chunk_rows: int) -> Iterator[RawChunk]:
    """Yield the rows of a CSV file; one with too few or too many fields is unreadable, never padded or cut."""
    # A global of the csv module; ingest.max_text_chars limits the length of texts, not this.
    csv.field_size_limit(2**31 - 1)
    lines = _LastLines(_text_of(name, stream, encoding))
    reader = csv.reader(lines)
    header = next((row for row in reader if any(field.strip() for field in row)), None)  # blank lines may come before
    if header is None:
        raise InputError(f"{name} is empty: expected a header line that names the columns")
    header = [field.strip() for field in header]
    refuse_duplicated_columns(header, file=name)
    chunk = _Chunk(name, header)
    for number, row in enumerate(_rows(reader, lines), start=1):
        if len(row) == len(header) and not (lines.ended and lines.cut()):
            chunk.add(number, [field or None for field in row])
        elif row:
            cut = " (the file ends inside the row)" if lines.ended else ""
            chunk.refuse(number, f"{len(row)} of {len(header)} fields{cut}", ",".join(row))
        if chunk.full(chunk_rows):
            yield chunk.take()
    yield chunk.take()


def _rows(reader: Any, lines: _LastLines) -> Iterator[list[str]]:
    """Yield rows with one line read ahead, so that the last row is known to be the last."""
    lines.lines.clear()
    for row in reader:
        lines.look_ahead()
        yield row
        lines.lines.clear()


class _LastLines:
    """Lines of a text that remembers those of the current row and whether any come after it."""

    def __init__(self, text: Iterator[str]) -> None:
        self.text, self.lines, self.ahead, self.ended = text, list[str](), list[str](), False

    def __iter__(self) -> _LastLines:
        return self

    def __next__(self) -> str:
        line = self.ahead.pop() if self.ahead else next(self.text)
        self.lines.append(line)
        return line

    def look_ahead(self) -> None:
        """Read one line ahead to learn whether the file ends here."""
        if not self.ahead:
            line = next(self.text, None)
            self.ended = line is None
            self.ahead = [] if line is None else [line]

    def cut(self) -> bool:
        """Whether the current row, the last one, opens a quote that nothing closes or ends at a separator.

        A whole row that ends with an empty field looks like the second; the line end after it distinguishes them.
        """
        if self.lines[-1].endswith(","):
            return True
        try:
            list(csv.reader(self.lines, strict=True))
        except csv.Error as error:
            return "unexpected end" in str(error)
        return False


def _json_keys(name: str, stream: IO[bytes], encoding: str) -> list[str]:
    """Return every key that any line has; a line, also the first, may lack some."""
    keys: dict[str, None] = {}
    lines, first = 0, ""
    for line in _text_of(name, stream, encoding):
        row = _object(line)
        if isinstance(row, dict):
            keys |= dict.fromkeys(row)
        elif row is not None:
            lines, first = lines + 1, first or line.strip()
    if not keys and lines:
        raise InputError(
            f"{name}: none of its {lines} lines is a JSON object (the first is {first[:60]!r}): expected one object "
            "per line, not one array or object over many"
        )
    if not keys:
        raise InputError(f"{name} is empty: expected one JSON object per line")
    return list(keys)


def _json_lines(name: str, stream: IO[bytes], encoding: str, chunk_rows: int, *, keys: list[str]) -> Iterator[RawChunk]:
    """Yield objects, one per line; a key that a line lacks is null there."""
    chunk = _Chunk(name, [whole_characters(key) for key in keys])
    for number, line in enumerate(_text_of(name, stream, encoding), start=1):
        row = _object(line)
        if isinstance(row, dict):
            try:
                chunk.add(number, [cell_of(row.get(key)) for key in keys])
            except ValueError as error:
                chunk.refuse(number, str(error), line)
        elif row is not None:
            chunk.refuse(number, row, line)
        if chunk.full(chunk_rows):
            yield chunk.take()
    yield chunk.take()


def _object(line: str) -> dict[str, Any] | str | None:
    """Return the object in a line, None for a blank line, or why it is not an object."""
    if not line.strip():
        return None
    try:
        row = json.loads(line)  # the last one of equal keys counts, as everywhere in JSON
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return row if isinstance(row, dict) else "not a JSON object"


class _Chunk:
    """Rows gathered until there are enough of them."""

    def __init__(self, file: str, header: list[str]) -> None:
        self.file, self.header = file, header
        self._clear()

    def _clear(self) -> None:
        self.rows: list[list[str | None]] = []
        self.numbers: list[int] = []
        self.unreadable: list[UnreadableRow] = []
        self.size = 0

    def add(self, number: int, row: list[str | None]) -> None:
        self.rows.append(row)
        self.numbers.append(number)
        self.size += sum(map(len, filter(None, row)))

    def refuse(self, number: int, reason: str, raw: str) -> None:
        self.unreadable.append(UnreadableRow(number, reason, raw[:RAW_CHARS]))

    def full(self, chunk_rows: int) -> bool:
        return len(self.rows) >= chunk_rows or self.size >= CHUNK_BYTES or len(self.unreadable) >= chunk_rows

    def take(self) -> RawChunk:
        columns = zip(*self.rows, strict=True) if self.rows else ([] for _ in self.header)
        table = pa.table([pa.array(cells, pa.large_string()) for cells in columns], names=self.header)
        chunk = RawChunk(self.file, table, np.array(self.numbers, dtype=np.int64), tuple(self.unreadable))
        self._clear()
        return chunk


def _text_of(name: str, stream: IO[bytes], encoding: str) -> Iterator[str]:
    """Yield the lines of the text with their ends; InputError names the byte that the encoding does not allow."""
    try:
        codec = codecs.lookup(encoding).name
    except LookupError:
        raise InputError(
            f"invalid ingest.files.encoding = {encoding!r}: expected a codec such as utf-8 or cp1252"
        ) from None
    counter = _Counter(stream)
    text = io.TextIOWrapper(
        counter,  # type: ignore[type-var]
        encoding="utf-8-sig" if codec == "utf-8" else codec,
        errors="strict",
        newline="",
    )
    try:
        yield from text
    except UnicodeDecodeError as error:
        # The decoder sees one read at a time; error.object also holds what was left of the read before.
        place = counter.count - len(error.object) + error.start
        raise InputError(
            f"{name}: byte {place} (0x{error.object[error.start]:02x}) is not {encoding}: {error.reason}; "
            "state the file's encoding in ingest.files.encoding, for example cp1252 or utf-16"
        ) from error
    except (EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{name} cannot be unpacked: {error}; the file was cut or is not an archive") from error


class _Counter(io.RawIOBase):
    """A stream that counts the bytes read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.count = stream, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self.stream.read(size)
        self.count += len(block)
        return block

    def read1(self, size: int = -1) -> bytes:
        return self.read(size)
