"""Files: CSV, JSON lines (both also compressed) and Parquet, by path or glob, local or at any fsspec address."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path, PurePosixPath

import pyarrow as pa

from pipelines.runtime.errors import InputError
from pipelines.sources.accounting import Account, Ledger
from pipelines.sources.chunk import RawChunk
from pipelines.sources.delimited import read_csv
from pipelines.sources.dialect import Dialect
from pipelines.sources.json_lines import json_keys, read_json_lines
from pipelines.sources.listing import Found, folder_columns, list_files
from pipelines.sources.parquet import read_parquet
from pipelines.sources.text import COMPRESSIONS, Text, opened, unreadable

logger = logging.getLogger(__name__)

DETECTED = Dialect()
JSON_LINES = (".jsonl", ".ndjson", ".json")
CSV = (".csv", ".tsv")


@dataclass(frozen=True)
class FilesSource:
    """All rows of all files that the patterns name, in order of their addresses; ingest keeps those of the window."""

    paths: Sequence[str]
    encoding: str
    root: Path
    dialect: Dialect = DETECTED
    ledger: Ledger = field(default_factory=Ledger, compare=False)

    def read(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        """Yield chunks file by file."""
        self.ledger.clear()
        for file in self.addresses():
            account, columns = self.ledger.of(file.name), folder_columns(file.address, self.root)
            for chunk in self.ledger.watched(self._chunks(file, account, chunk_rows)):
                yield _with_folders(chunk, columns)
            if account.ends_inside_row:
                logger.warning("%s ends inside its last row: it was cut, and what came after is missing", file.name)
            if "dialect" in account.notes:
                logger.info("%s: dialect %s", file.name, account.notes["dialect"])
        for name in self.ledger.note_missing_columns():
            missing = self.ledger.of(name).notes["columns_missing"]
            logger.warning("%s lacks columns that other files have, null in its rows: %s", name, ", ".join(missing))

    def addresses(self) -> list[Found]:
        """Return (name to show, file system, address) of every file, each once, sorted by name."""
        files, self.ledger.left_out[:] = list_files(self.paths, root=self.root)
        for item in self.ledger.left_out:
            logger.warning("%s is not read: %s", item.file, item.reason)
        return files

    def _chunks(self, file: Found, account: Account, chunk_rows: int) -> Iterator[RawChunk]:
        try:
            size = file.system.size(file.address)
        except Exception as error:  # each file system has errors of its own
            raise unreadable(file.name, error) from error
        if size == 0:
            raise InputError(f"{file.name} is empty (0 bytes): expected a file with a header line")
        if _kind(file.path) == ".parquet":
            yield from read_parquet(file, account, chunk_rows=chunk_rows)
            return
        keys: list[str] = []
        with opened(file) as (stream, path):
            if _kind(path) in JSON_LINES:
                keys = json_keys(Text(stream, encoding=self.encoding, account=Account(file.name)))
        with opened(file) as (stream, path):
            text = Text(stream, encoding=self.encoding, account=account)
            if _kind(path) in CSV:
                yield from read_csv(text, stated=self.dialect, chunk_rows=chunk_rows)
            elif _kind(path) in JSON_LINES:
                yield from read_json_lines(text, keys=keys, chunk_rows=chunk_rows)
            else:
                raise InputError(f"{file.name}: unknown kind of file: expected .csv, .csv.gz, .parquet or .jsonl")


def _kind(path: str) -> str:
    """Return the last suffix that is not one of a compression."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix not in COMPRESSIONS), "")


def _with_folders(chunk: RawChunk, columns: dict[str, str | None]) -> RawChunk:
    """Add the columns that folders `key=value` state; a column of the file itself counts more."""
    table = chunk.table
    for name, value in columns.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.repeat(pa.scalar(value, pa.large_string()), table.num_rows))
    return replace(chunk, table=table)
