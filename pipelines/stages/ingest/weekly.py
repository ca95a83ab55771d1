"""Rows, nulls and medians of each week, to be compared with those of the other weeks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.records.schema import DomainSchema
from pipelines.stages.ingest.spool import DAY, week_of


@dataclass
class Week:
    """Counts of one week: rows, nulls per column, median per number."""

    rows: int
    nulls: dict[str, int]
    medians: dict[str, float]


@dataclass
class Profile:
    """Counts over the accepted records of a window."""

    weeks: dict[int, Week] = field(default_factory=dict)  # 0 is the last one, -1 the one before
    days: list[tuple[date, str, int, str]] = field(default_factory=list)  # day, file, rows, digest of the day
    gold: dict[str, int] = field(default_factory=dict)
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    texts: int = 0

    @property
    def rows(self) -> int:
        """Return the number of accepted rows."""
        return sum(week.rows for week in self.weeks.values())

    def day_rows(self) -> dict[date, int]:
        """Return the rows of each day that has any."""
        rows: dict[date, int] = {}
        for day, _, count, _ in self.days:
            rows[day] = rows.get(day, 0) + count
        return rows

    def day_digests(self) -> dict[date, str]:
        """Return the digest of each day that has any rows."""
        return {day: digest for day, _, _, digest in self.days}

    def null_shares(self) -> dict[str, float]:
        """Return the share of nulls of each column over the window."""
        names = next(iter(self.weeks.values())).nulls if self.weeks else {}
        return {name: sum(week.nulls[name] for week in self.weeks.values()) / self.rows for name in names}


def add_week(profile: Profile, table: pa.Table, *, schema: DomainSchema, end: date, files: Sequence[str]) -> None:
    """Count one sorted week of accepted records into the profile."""
    if not table.num_rows:
        return
    days = table["received_at"].cast(pa.int64()).to_numpy() // DAY
    watched = [*(item.name for item in schema.features), *(item.name for item in schema.protected)]
    medians = {}
    for item in schema.features:
        if item.kind == "number":
            numbers = table[item.name].drop_null().to_numpy()
            medians[item.name] = float(np.median(numbers)) if len(numbers) else float("nan")
    profile.weeks[int(week_of(days[:1], end=end)[0])] = Week(
        rows=table.num_rows, nulls={name: table[name].null_count for name in watched}, medians=medians
    )
    profile.texts += table.num_rows - (pc.sum(pc.equal(table["text"], "")).as_py() or 0)
    for item in pc.value_counts(table["gold"].drop_null()).to_pylist():
        profile.gold[item["values"]] = profile.gold.get(item["values"], 0) + item["counts"]
    for attribute in schema.protected:
        counts = profile.groups.setdefault(attribute.name, {"member": 0, "rest": 0})
        members, known = pc.sum(table[attribute.name]).as_py() or 0, table.num_rows - table[attribute.name].null_count
        counts["member"] += members
        counts["rest"] += known - members
    bounds = [*np.flatnonzero(np.r_[True, days[1:] != days[:-1]]), len(days)]
    for first, last in pairwise(bounds):
        piece = table.slice(first, last - first)
        day = date(1970, 1, 1) + timedelta(days=int(days[first]))
        digest = table_digest(piece.drop_columns(["_file"]))
        codes, counts_ = np.unique(piece["_file"].to_numpy(), return_counts=True)
        rows = sorted((files[code], int(count)) for code, count in zip(codes, counts_, strict=True))
        profile.days += [(day, file, count, digest) for file, count in rows]


def table_digest(table: pa.Table) -> str:
    """Return the sha256 over names and values of a table, independent of its chunks."""
    digest = RawDigest()
    digest.add(table)
    return digest.hex()


def _fixed_bytes(column: pa.ChunkedArray) -> bytes:
    """Values of a column of numbers or times, null as zero."""
    numbers = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    return bytes(pc.fill_null(numbers, 0).to_numpy().tobytes())


class RawDigest:
    """sha256 over the values of tables as they come: equal values give an equal digest, however they are chunked."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[hashlib._Hash, hashlib._Hash]] = {}
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Add the rows of a table."""
        for name, given in zip(table.column_names, table.columns, strict=True):
            lengths, values = self._columns.setdefault(name, (hashlib.sha256(), hashlib.sha256()))
            if given.type != pa.large_string():
                values.update(_fixed_bytes(given))
                lengths.update(given.is_null().to_numpy().tobytes())
                continue
            lengths.update(pc.fill_null(pc.binary_length(given), -1).to_numpy().tobytes())
            for chunk in given.chunks:
                data = chunk.buffers()[2]
                if data is None or not len(chunk):
                    continue
                offsets = np.frombuffer(chunk.buffers()[1], dtype=np.int64)[
                    chunk.offset : chunk.offset + len(chunk) + 1
                ]
                # Null cells have no bytes, so that values are contiguous in every buffer.
                values.update(memoryview(data)[offsets[0] : offsets[-1]])
        self._rows += table.num_rows

    def hex(self) -> str:
        """Return the digest of everything added so far."""
        whole = hashlib.sha256(str(self._rows).encode())
        for name, parts in sorted(self._columns.items()):
            whole.update(name.encode() + b"\0" + b"".join(part.digest() for part in parts))
        return whole.hexdigest()
