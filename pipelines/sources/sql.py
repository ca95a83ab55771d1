"""SQL: any database that SQLAlchemy knows; its address comes from the environment, the query from params.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa

from pipelines.records.raw import refuse_duplicated_columns, table_of_columns
from pipelines.runtime.errors import InputError
from pipelines.sources.chunk import RawChunk


@dataclass(frozen=True)
class SqlSource:
    """Rows of one query, which bounds the window by :start and :end (ISO days) and orders its rows."""

    address: str = field(repr=False)  # may hold a password
    query: str

    def read(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        """Yield chunks as the server streams them; times are read in UTC."""
        from sqlalchemy import create_engine, text
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
        from sqlalchemy.pool import NullPool

        try:
            engine = create_engine(self.address, poolclass=NullPool)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise InputError(f"the SQL address is not usable: {_without(self.address, error)}") from None
        shown = engine.url.render_as_string(hide_password=True)
        try:
            with engine.connect() as connection:
                if engine.dialect.name == "postgresql":
                    connection.execute(text("SET TIME ZONE 'UTC'"))
                bounds = {"start": start.isoformat(), "end": end.isoformat()}
                streaming = connection.execution_options(yield_per=chunk_rows)
                result = streaming.execute(text(self.query), bounds)
                names = list(result.keys())
                refuse_duplicated_columns(names, file="ingest.sql.query")
                first = 1
                for rows in result.partitions():
                    table = table_of_columns(zip(*rows, strict=True), names=names, file="ingest.sql.query", first=first)
                    yield RawChunk("sql", table, np.arange(first, first + table.num_rows))
                    first += table.num_rows
                if first == 1:
                    empty = pa.table([pa.array([], pa.large_string()) for _ in names], names=names)
                    yield RawChunk("sql", empty, np.arange(0))
        except SQLAlchemyError as error:
            cause = _without(self.address, getattr(error, "orig", None) or error)
            raise InputError(f"{shown}: ingest.sql.query failed: {cause}") from None


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
