"""The prediction log: append-only segments of JSON lines, compacted into `predictions/day=.../`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.monitoring import predictions
from pipelines.runtime.errors import InputError, StoreError
from pipelines.runtime.state import disk_message, locked, write_atomic

if TYPE_CHECKING:
    from pipelines.records.schema import DomainSchema

logger = logging.getLogger(__name__)

OPEN, CLOSED = ".open.jsonl", ".jsonl"


class Journal:
    """The JSON lines of one service process.

    A line is handed to the operating system before its answer is sent, so killing the process loses none. A power
    failure can lose the lines that were not yet on disk: at most `fsync_seconds` of them if `sync` is called that
    often.
    """

    def __init__(self, folder: Path, *, max_segment_bytes: int, fsync_seconds: float) -> None:
        self.folder = folder
        self._segment_bytes = max_segment_bytes
        self._fsync_seconds = fsync_seconds
        self._lock = threading.Lock()
        self._synced = time.monotonic()
        self._descriptor: int | None = None
        self._path = folder
        self.writable = True  # whether the last write succeeded
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Append rows in one write; raise StoreError, with no part of them written, when the disk refuses."""
        data = b"".join(
            json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n" for row in rows
        )
        with self._lock:
            try:
                descriptor = self._opened()
                size = os.fstat(descriptor).st_size
                self._append(descriptor, data, size=size)
                if size + len(data) >= self._segment_bytes:
                    self._close()
                self.writable = True
            except OSError as error:
                self.writable = False
                raise StoreError(disk_message(self._path, error)) from error

    def sync(self) -> None:
        """Flush everything written so far to the disk; after a failed write, try whether an empty line can be written."""
        if not self.writable:
            self.probe()
        with self._lock:
            if self._descriptor is not None:
                os.fsync(self._descriptor)
                self._synced = time.monotonic()

    def probe(self) -> None:
        """Write an empty line, which no reader sees, so that a service without requests notices that it can log again."""
        with self._lock, contextlib.suppress(OSError):
            descriptor = self._opened()
            self._append(descriptor, b"\n", size=os.fstat(descriptor).st_size)
            self.writable = True

    def close(self) -> None:
        """Close the open segment so that it can be compacted; the next write opens another one."""
        with self._lock:
            self._close()

    def _append(self, descriptor: int, data: bytes, *, size: int) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if time.monotonic() - self._synced >= self._fsync_seconds:
                os.fsync(descriptor)
                self._synced = time.monotonic()
        except OSError:
            os.ftruncate(descriptor, size)
            raise

    def _opened(self) -> int:
        if self._descriptor is None:
            self._path = self.folder / f"{time.time_ns()}-{os.urandom(4).hex()}{OPEN}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o644)
            # The lock falls with the process, however it ends: so a compactor recognizes a segment without a writer,
            # also
            # in containers, where every process has id 1.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._descriptor = descriptor
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.fsync(descriptor)
            self._path.rename(self._path.with_name(self._path.name.removesuffix(OPEN) + CLOSED))
        finally:
            os.close(descriptor)


def compact(folder: Path, *, schema: DomainSchema, live: Path) -> dict[str, int]:
    """Move the lines of finished segments to `predictions/day=.../` below `live`; set broken lines aside.

    Returns the counts {"segments", "rows", "added", "broken"}. A segment is removed after its rows are on disk; after a
    crash in between it is read again, and repeated rows change nothing. Segments that a dead process left open are
    included. Raises InputError, after everything else was moved, when the file of a day is not readable.
    """
    import pandas as pd

    counts, damaged = {"segments": 0, "rows": 0, "added": 0, "broken": 0}, []
    with locked(folder / "compaction"):
        for file in sorted(folder.glob("*.jsonl")):
            if _is_written(file):
                continue
            rows, broken = _read(file, schema=schema)
            counts["segments"], counts["broken"] = counts["segments"] + 1, counts["broken"] + len(broken)
            if broken:
                aside = folder / "broken" / f"{file.name}.txt"
                write_atomic(aside, "".join(broken).encode())
                logger.warning("%s: %d broken line(s), set aside in %s", file.name, len(broken), aside)
            if rows:
                frame = predictions.as_predictions(pd.DataFrame(rows))
                counts["rows"] += len(frame)
                try:
                    counts["added"] += predictions.add_predictions(live, frame)
                except InputError as error:
                    damaged.append(error)
                    continue  # the segment is read again when the day's file is readable again
            file.unlink()
    if damaged:
        raise InputError(f"{len(damaged)} segment(s) of the log stay in {folder}, all others were moved: {damaged[0]}")
    return counts


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


# Fields of a line that do not depend on the domain, each with its check and what is valid.
FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("request_id", "record_id", "label"), (_is_name, "a string, not empty")),
    **dict.fromkeys(("model_version", "text_length"), (_is_count, "an integer from 0")),
    "schema_version": (lambda value: value in (1, predictions.SCHEMA_VERSION), f"1 or {predictions.SCHEMA_VERSION}"),
    "features": (lambda value: isinstance(value, dict), "an object"),
    "role": (lambda value: value in predictions.ROLES, f"one of {', '.join(predictions.ROLES)}"),
    "confidence": (lambda value: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1"),
}


def check_line(row: Any, *, schema: DomainSchema) -> dict[str, Any]:
    """Return the line as a row of predictions, times in UTC; ValueError for the first field that is missing or invalid.

    A line states the types of its features, so one that another version of the domain logged is valid. In version 1 the
    features were fields like the others; the type of one that is null is the one that `schema` declares.
    """
    if not isinstance(row, dict):
        raise ValueError(f"invalid line of type {type(row).__name__}: expected an object")
    if row.get("schema_version") == 1:
        row = {**row, "features": _of_version_1(row, schema=schema)}
    for name in predictions.FIXED:
        if name not in row:
            raise ValueError(f"missing field {name}")
    for name, (is_valid, expected) in FIELDS.items():
        if not is_valid(row[name]):
            raise ValueError(f"invalid {name} = {row[name]!r}: expected {expected}")
    for name, value in row["features"].items():
        kind = name.partition(".")[0]
        if not predictions.is_feature(name):
            raise ValueError(f"invalid feature {name!r}: expected category.NAME or number.NAME")
        if value is not None and not (isinstance(value, str) if kind == "category" else _is_number(value)):
            raise ValueError(f"invalid {name} = {value!r}: expected a {kind} or null")
    return {
        **{name: row[name] for name in predictions.FIXED},
        **row["features"],
        "schema_version": predictions.SCHEMA_VERSION,
        "features": predictions.logged_with([*row["features"]]),
        "received_at": _time(row, "received_at"),
        "served_at": _time(row, "served_at"),
    }


def _of_version_1(row: dict[str, Any], *, schema: DomainSchema) -> dict[str, Any]:
    declared = {feature.name: feature.kind for feature in schema.features}
    features = {}
    for name, value in row.items():
        kind = declared.get(name) if value is None else "category" if isinstance(value, str) else "number"
        if name not in predictions.FIXED and kind:
            features[f"{kind}.{name}"] = value
    return features


def _read(file: Path, *, schema: DomainSchema) -> tuple[list[dict[str, Any]], list[str]]:
    good: list[dict[str, Any]] = []
    broken = []
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        if not line:
            continue
        try:
            good.append(check_line(json.loads(line), schema=schema))
        except (ValueError, OverflowError, RecursionError) as error:  # the others are kept
            broken.append(f"{file.name} line {number}: {error}: {line[:500]!r}\n")
    return good, broken


def _time(row: dict[str, Any], name: str) -> datetime:
    value = row[name]
    if not isinstance(value, str):
        raise ValueError(f"invalid {name} = {value!r}: expected a time such as 2026-01-05T10:00:00+00:00")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"invalid {name} = {value!r}: expected a time zone")
    return moment.astimezone(UTC)


def _is_written(file: Path) -> bool:
    """Return whether a running process still writes the segment."""
    with file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
