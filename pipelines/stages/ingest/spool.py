"""Accepted records on disk between two passes, so that any number of rows is put in order in bounded memory.

The first pass writes pieces of about `PIECE_ROWS` rows, each cut into weeks. Ids are compared by 64-bit hashes; where
two are equal the ids themselves decide. The second pass reads week by week, all pieces, and sorts by (received_at, id).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.records.schema import DomainSchema
from pipelines.stages.ingest import quarantine

PIECE_ROWS = 250_000
PIECE_BYTES = 96 * 2**20
ROW_GROUP = 65_536
DAY = 86_400_000_000  # microseconds
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
        self._hashes: list[np.ndarray] = []
        self._contents: list[np.ndarray] = []
        self.count = 0

    def add(self, records: pd.DataFrame, *, origin: pd.DataFrame) -> None:
        """Take records (canonical) with the file and row that each comes from."""
        import polars as pl

        if not len(records):
            return
        table = pa.Table.from_pandas(records, schema=self.types, preserve_index=False)
        frame = pl.DataFrame(pl.from_arrow(table))
        self._hashes.append(frame["id"].hash(0).to_numpy())
        self._contents.append(frame.hash_rows(0).to_numpy())
        codes, files = pd.factorize(origin["file"])
        numbers = np.array([self.files.setdefault(str(file), len(self.files)) for file in files])
        extra = (numbers[codes], origin["row"], np.arange(self.count, self.count + len(records)))
        for (name, kind), values in zip(BOOKKEEPING, extra, strict=True):
            table = table.append_column(name, pa.array(np.asarray(values), kind))
        self.count += len(records)
        self._waiting.append(table)
        rows = sum(item.num_rows for item in self._waiting)
        if rows >= PIECE_ROWS or sum(item.nbytes for item in self._waiting) >= PIECE_BYTES:
            self._flush()

    def drop_repeats(self) -> pd.DataFrame:
        """Keep the first row of each id in the order of the source; the others, as rows for quarantine."""
        self._flush()
        self._kept = np.ones(self.count, dtype=bool)
        if not self.count:
            return _no_rows()
        hashes, contents = np.concatenate(self._hashes), np.concatenate(self._contents)
        self._hashes.clear()
        self._contents.clear()
        order = np.argsort(hashes, kind="stable")
        equal = hashes[order][1:] == hashes[order][:-1]
        suspects = np.unique(np.concatenate([order[1:][equal], order[:-1][equal]]))
        if not len(suspects):
            return _no_rows()
        return self._repeats(suspects, contents=contents)

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

    def _repeats(self, suspects: np.ndarray, *, contents: np.ndarray) -> pd.DataFrame:
        columns = ["id", "_file", "_row", "_number"]
        found = []
        for file, weeks in self._pieces:
            for batch in weeks.values():
                piece = pa.Table.from_batches([_batch(file, batch)]).select(columns)
                found.append(piece.filter(pa.array(np.isin(piece["_number"].to_numpy(), suspects))).to_pandas())
        rows = pd.concat(found).sort_values("_number", ignore_index=True)
        repeated = rows["id"].duplicated(keep="first")
        first = rows[~repeated].set_index("id")["_number"]
        again = rows[repeated]
        self._kept[again["_number"].to_numpy()] = False
        same = contents[again["_number"]] == contents[again["id"].map(first)]
        names = np.array(list(self.files), dtype=object)
        return pd.DataFrame(
            {
                "file": names[again["_file"]],
                "row": again["_row"].to_numpy(),
                "id": again["id"].to_numpy(dtype=object),
                "kind": np.where(same, "repeated", "rejected"),
                "reason": np.where(same, "the same record came before", "another record with this id came before"),
                "raw": None,
            }
        )


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
    return pd.DataFrame(columns=list(quarantine.COLUMNS))
