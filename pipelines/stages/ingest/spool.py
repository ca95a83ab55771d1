"""Accepted records on disk between two passes, so that any number of rows is put in order in bounded memory.

The first pass writes pieces of about `PIECE_ROWS` rows, each cut into weeks. Ids are compared by two 64-bit hashes. Of
the states of a record the newest is kept. The second pass reads week by week, all pieces, and sorts by (received_at, id).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.records.schema import DomainSchema
from pipelines.stages.ingest import quarantine

if TYPE_CHECKING:
    import polars as pl

PIECE_ROWS = 250_000
PIECE_BYTES = 96 * 2**20
ROW_GROUP = 65_536
DAY = 86_400_000_000  # microseconds
WITHHELD = "the newest state of this record is outside the window or has no text"
BOOKKEEPING = (("_file", pa.int32()), ("_row", pa.int64()), ("_number", pa.int64()))


def record_types(schema: DomainSchema) -> pa.Schema:
    """Arrow types of `records.parquet`."""
    text, time = pa.large_string(), pa.timestamp("us", tz="UTC")
    fields = [("id", text), ("text", text), ("received_at", time), ("entity", text), ("gold", text), ("gold_at", time)]
    fields += [(item.name, text if item.kind == "category" else pa.float64()) for item in schema.features]
    fields += [(item.name, pa.int8()) for item in schema.protected]
    return pa.schema(fields)


def quarantine_types() -> pa.Schema:
    """Arrow types of `quarantine.parquet`."""
    return pa.schema([(name, pa.int64() if name == "row" else pa.large_string()) for name in quarantine.COLUMNS])


@dataclass
class Spool:
    """Records as they come, in pieces below `folder`; then without repeats, in order."""

    folder: Path
    types: pa.Schema
    end: date

    def __post_init__(self) -> None:
        self.files: dict[str, int] = {}
        self._waiting: list[pa.Table] = []
        self._pieces: list[tuple[Path, dict[int, int]]] = []  # file, week -> number of its record batch
        self._states: list[pd.DataFrame] = []  # hash of the id, content, number, version, usable
        self._next = 0  # number of the next row
        self.count = 0

    def add(self, records: pd.DataFrame, *, origin: pd.DataFrame, withheld: pd.DataFrame) -> None:
        """Take records (canonical) with their origin, and the ids of those that are outside the window or empty.

        The order of the source is that of the calls and, within one, of `place`.
        """
        import polars as pl

        first = self._next
        if len(withheld):
            ids = pl.Series(withheld["id"].to_numpy(dtype=object), dtype=pl.String)
            self._remember(ids, ids.hash(1).to_numpy(), first=first, order=withheld, usable=False)
        if not len(records):
            return
        table = pa.Table.from_pandas(records, schema=self.types, preserve_index=False)
        frame = pl.DataFrame(pl.from_arrow(table))
        self._remember(frame["id"], frame.hash_rows(0).to_numpy(), first=first, order=origin, usable=True)
        codes, files = pd.factorize(origin["file"])
        numbers = np.array([self.files.setdefault(str(file), len(self.files)) for file in files])
        extra = (numbers[codes], origin["row"], first + origin["place"])
        for (name, kind), values in zip(BOOKKEEPING, extra, strict=True):
            table = table.append_column(name, pa.array(np.asarray(values), kind))
        self.count += len(records)
        self._waiting.append(table)
        rows = sum(item.num_rows for item in self._waiting)
        if rows >= PIECE_ROWS or sum(item.nbytes for item in self._waiting) >= PIECE_BYTES:
            self._flush()

    def drop_older(self) -> pd.DataFrame:
        """Keep the newest state of each record, by (version, order of the source); the others, as rows for quarantine.

        A state equal to the one before it is `repeated`, one that another state replaced is `revised`. A record whose
        newest state is withheld is not kept. Column `another` marks revisions that share only the id with what replaced
        them.
        """
        self._flush()
        self._kept = np.ones(self._next, dtype=bool)
        states = pd.concat(self._states, ignore_index=True) if self._states else pd.DataFrame({"hash": []})
        self._states.clear()
        suspects = states[states["hash"].duplicated(keep=False).to_numpy(dtype=bool)]
        if not len(suspects) or not suspects["usable"].any():
            return _no_rows()
        suspects = suspects.sort_values("number", ignore_index=True)
        rows = self._rows_of(suspects["number"][suspects["usable"]].to_numpy())
        usable = suspects["usable"].to_numpy()
        found = rows.drop(columns="number").set_axis(suspects.index[usable]).reindex(suspects.index, fill_value=0)
        suspects = suspects.join(found)
        suspects["second"] = suspects["second"].where(usable, suspects["content"])
        return self._replaced(suspects)

    def weeks(self) -> Iterator[pa.Table]:
        """Kept records of one week after the other, sorted by (received_at, id), with column `_file`."""
        for week in sorted({week for _, weeks in self._pieces for week in weeks}):
            table = pa.concat_tables(
                pa.Table.from_batches([_batch(file, weeks[week])]) for file, weeks in self._pieces if week in weeks
            )
            table = table.filter(pa.array(self._kept[table["_number"].to_numpy()]))
            yield table.sort_by([("received_at", "ascending"), ("id", "ascending")]).drop_columns(["_row", "_number"])

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        self._waiting = []
        weeks = week_of(table["received_at"].cast(pa.int64()).to_numpy() // DAY, end=self.end)
        order = np.argsort(weeks, kind="stable")
        table, weeks = table.take(pa.array(order)).combine_chunks(), weeks[order]
        bounds = [*np.flatnonzero(np.r_[True, weeks[1:] != weeks[:-1]]), len(weeks)]
        file = self.folder / f"{len(self._pieces):06d}.arrow"
        index = {}
        with file.open("wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            for number, (first, last) in enumerate(pairwise(bounds)):
                writer.write_batch(table.slice(first, last - first).to_batches()[0])
                index[int(weeks[first])] = number
        self._pieces.append((file, index))

    def _remember(self, ids: pl.Series, contents: np.ndarray, *, first: int, order: pd.DataFrame, usable: bool) -> None:
        numbers = first + order["place"].to_numpy(dtype=np.int64)
        columns = {"hash": ids.hash(0).to_numpy(), "content": contents, "number": numbers}
        self._states.append(pd.DataFrame({**columns, "version": order["version"].to_numpy(), "usable": usable}))
        self._next = max(self._next, int(numbers.max()) + 1)

    def _rows_of(self, numbers: np.ndarray) -> pd.DataFrame:
        """Return id and place of the rows with these numbers, in order, and hashes of what they say."""
        import polars as pl

        found = []
        for file, weeks in self._pieces:
            for batch in weeks.values():
                piece = pa.Table.from_batches([_batch(file, batch)])
                piece = piece.filter(pa.array(np.isin(piece["_number"].to_numpy(), numbers)))
                frame = pl.DataFrame(pl.from_arrow(piece))
                hashes = {"second": frame["id"].hash(1), "meaning": frame["text"].hash(0)}
                hashes |= {"time": frame["received_at"].to_physical(), "file": frame["_file"], "row": frame["_row"]}
                found.append(
                    pd.DataFrame(
                        {"id": piece["id"].to_pandas().astype(object), "number": piece["_number"].to_pandas()}
                    ).assign(**{name: column.to_numpy() for name, column in hashes.items()})
                )
        return pd.concat(found).sort_values("number", ignore_index=True)

    def _replaced(self, states: pd.DataFrame) -> pd.DataFrame:
        """Drop the states (n) that are not the newest of their record and return them in the order of the source."""
        keys = ["hash", "second"]
        states = states.sort_values([*keys, "version", "number"], ignore_index=True)
        compared = states[[*keys, "usable", "content"]]
        repeated = (compared == compared.shift()).all(axis=1)
        run = (~repeated).cumsum()
        newest = run.groupby([states[key] for key in keys]).transform("max")
        winner = states[~repeated].set_axis(run[~repeated]).loc[newest].reset_index(drop=True)
        lost = states["usable"] & (repeated | (run != newest))
        self._kept[states.loc[lost, "number"].to_numpy()] = False
        names = np.array(list(self.files), dtype=object)
        places = "; found in " + pd.Series(names[winner["file"]]) + ", row " + winner["row"].astype("str")
        revised = np.where(winner["usable"], "a newer state of this record replaced it" + places, WITHHELD)
        another = (
            ~repeated & winner["usable"] & (states[["meaning", "time"]] != winner[["meaning", "time"]]).all(axis=1)
        )
        table = pd.DataFrame(
            {
                "file": names[states["file"]],
                "row": states["row"],
                "id": states["id"],
                "kind": np.where(repeated, "repeated", "revised"),
                "reason": np.where(repeated, "the same record came before", revised),
                "raw": None,
                "another": another,
            }
        )
        return table.assign(number=states["number"])[lost].sort_values("number", ignore_index=True)


def week_of(days: np.ndarray, *, end: date) -> np.ndarray:
    """Number of the week of each day since 1970, counted back from the end of the window: its last seven days are 0."""
    last = (end - date(1970, 1, 1)).days - 1
    return -((last - days) // 7)


class RowGroups:
    """A parquet file written in row groups of fixed size, whatever the size of the tables that come."""

    def __init__(self, path: Path, *, types: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, types, compression="zstd", use_dictionary=True)
        self._types = types
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, table: pa.Table) -> None:
        """Take rows; whole row groups go to the file."""
        self._waiting.append(table.select(self._types.names).cast(self._types))
        self._rows += table.num_rows
        if self._rows >= ROW_GROUP:
            table = pa.concat_tables(self._waiting)
            whole = self._rows // ROW_GROUP * ROW_GROUP
            self._writer.write_table(table.slice(0, whole), row_group_size=ROW_GROUP)
            self._waiting, self._rows = [table.slice(whole).combine_chunks()], self._rows - whole

    def write_frame(self, frame: pd.DataFrame) -> None:
        """Take rows of a pandas frame."""
        if len(frame):
            self.write(pa.Table.from_pandas(frame, schema=self._types, preserve_index=False))

    def close(self) -> None:
        """Write what is left; a file without rows is a file too."""
        rest = pa.concat_tables(self._waiting) if self._rows else self._types.empty_table()
        self._writer.write_table(rest.replace_schema_metadata(None))
        self._writer.close()


def _batch(file: Path, number: int) -> pa.RecordBatch:
    with pa.OSFile(str(file)) as source, pa.ipc.open_file(source) as reader:
        return reader.get_batch(number)


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame(columns=[*quarantine.COLUMNS, "another"])
