"""SQL: any database that SQLAlchemy knows; its address comes from the environment, the query from params.yaml."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipelines.records.raw import refuse_columns, table_of_columns
from pipelines.runtime.errors import InputError
from pipelines.sources.accounting import Ledger
from pipelines.sources.chunk import RawChunk

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

logger = logging.getLogger(__name__)

SECRET = re.compile("pass|pwd|secret|token|key|cred|odbc_connect", re.IGNORECASE)  # names of options with secrets
ORDER = re.compile(r"\border\s+by\b", re.IGNORECASE)
AFTER_ORDER = re.compile(r"\)|\b(?:limit|offset|fetch)\b", re.IGNORECASE)  # the order is not the last part of the query
END = re.compile(r";(\s|;|--[^\n]*)*\Z")  # of a statement, with comments after it
FINGERPRINT_ROWS = 10_000  # in memory at once


@dataclass(frozen=True)
class SqlSource:
    """Rows of one query, which bounds the window by :start and :end (ISO days) and orders its rows."""

    address: str = field(repr=False)  # may hold a password
    query: str
    ledger: Ledger = field(default_factory=Ledger, compare=False)

    def read(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        """Yield chunks as the server streams them, then ask it for the number of rows; times are read in UTC."""
        self.ledger.clear()
        yield from self.ledger.watched(self._chunks(start=start, end=end, chunk_rows=chunk_rows))
        self._count(start=start, end=end)

    def _chunks(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        from sqlalchemy import text

        with self._connected() as connection:
            streaming = connection.execution_options(yield_per=chunk_rows)
            result = streaming.execute(text(self.query), _bounds(start, end))
            names = list(result.keys())
            refuse_columns(names, file="ingest.sql.query")
            first = 1
            for rows in result.partitions():
                table = table_of_columns(zip(*rows, strict=True), names=names, file="ingest.sql.query", first=first)
                yield RawChunk("sql", table, np.arange(first, first + table.num_rows))
                first += table.num_rows
            if first == 1:
                empty = pa.table([pa.array([], pa.large_string()) for _ in names], names=names)
                yield RawChunk("sql", empty, np.arange(0))

    def place(self, root: Path) -> str:
        """Return the address without its secrets; a file below `root` is named relative to it."""
        from sqlalchemy import URL

        url = self._url()
        database = url.database
        if database and Path(database).is_relative_to(root):
            database = Path(database).relative_to(root).as_posix()
        query = {name: value for name, value in url.query.items() if not SECRET.search(name)}
        made = URL.create(url.drivername, url.username, None, url.host, url.port, database, query)
        return made.render_as_string()

    def fingerprint(self, *, start: date, end: date, version_column: str | None) -> dict[str, Any]:
        """Return what identifies the rows of a window: their number and the largest version, else a digest of all."""
        if version_column is None:
            rows, digest = 0, hashlib.sha256()
            for chunk in self._chunks(start=start, end=end, chunk_rows=FINGERPRINT_ROWS):
                rows, buffer = rows + chunk.table.num_rows, pa.BufferOutputStream()
                with pa.ipc.new_stream(buffer, chunk.table.schema) as stream:
                    stream.write_table(chunk.table)
                digest.update(buffer.getvalue())
            return {"rows": rows, "digest": digest.hexdigest()}
        column = self._url().get_dialect()().identifier_preparer.quote(version_column)
        rows, version = self._ask(f"COUNT(*), MAX({column})", start=start, end=end)
        return {"rows": int(rows), "version": None if version is None else str(version)}

    def _url(self) -> URL:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            return make_url(self.address)
        except (ArgumentError, ValueError) as error:
            raise InputError(f"the SQL address is not usable: {_without(self.address, error)}") from None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Yield a connection that reads times in UTC; InputError when there is none, or when a query fails."""
        from sqlalchemy import create_engine, text
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
        from sqlalchemy.pool import NullPool

        url = self._url()
        if url.get_backend_name() in ("sqlite", "duckdb") and url.database and not _exists(url.database):
            raise InputError(f"the database file {url.database} does not exist")
        try:
            engine = create_engine(url, poolclass=NullPool)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise InputError(f"the SQL address is not usable: {_without(self.address, error)}") from None
        try:
            with engine.connect() as connection:
                if engine.dialect.name == "postgresql":
                    connection.execute(text("SET TIME ZONE 'UTC'"))
                yield connection
        except SQLAlchemyError as error:
            cause = _without(self.address, getattr(error, "orig", None) or error)
            shown = url.render_as_string(hide_password=True)
            raise InputError(f"{shown}: ingest.sql.query failed: {cause}") from None

    def _count(self, *, start: date, end: date) -> None:
        """Let the server count the rows of the query; where it cannot, the account is left open, with the reason."""
        account = self.ledger.of("sql")
        try:
            account.stated = int(self._ask("COUNT(*)", start=start, end=end)[0])
        except InputError as refused:
            account.stated, account.not_counted = account.rows + account.unreadable, str(refused)
            logger.warning("the database did not count the rows of the query: %s", refused)

    def _ask(self, asked: str, *, start: date, end: date) -> Any:
        """Return the row of aggregates over the rows of the query; also asked without the order of its rows."""
        from sqlalchemy import text

        first: InputError | None = None
        for inner in _countable(self.query):
            query = text(f"SELECT {asked} FROM ({inner}\n) source_rows")  # noqa: S608
            try:
                with self._connected() as connection:
                    return connection.execute(query, _bounds(start, end)).one()
            except InputError as refused:
                first = first or refused
        raise first or AssertionError


def _countable(query: str) -> list[str]:
    """Return the query, the query without comments after its end, and without its last ORDER BY, which not every server
    takes in a subquery.
    """
    whole = query.strip().rstrip(";")
    made = [whole, END.sub("", whole)]
    found = list(ORDER.finditer(made[-1]))
    if found and not AFTER_ORDER.search(made[-1], found[-1].end()):
        made.append(made[-1][: found[-1].start()])
    return list(dict.fromkeys(made))


def _bounds(start: date, end: date) -> dict[str, str]:
    return {"start": start.isoformat(), "end": end.isoformat()}


def _exists(database: str) -> bool:
    return database.startswith((":memory:", "file::memory:")) or Path(database.removeprefix("file:")).exists()


def address_of(variable: str, environment: Mapping[str, str]) -> str:
    """Return the address that the environment variable holds; InputError when it is not set."""
    address = environment.get(variable)
    if not address:
        raise InputError(
            f"the environment variable {variable} (ingest.sql.address_variable) is not set: "
            "expected a SQLAlchemy address such as postgresql+psycopg://user@host/database"
        )
    return address


def _without(address: str, error: object) -> str:
    """Return the first line of an error without the address, which may hold a password."""
    return str(error).strip().splitlines()[0].replace(address, "(the address)")
