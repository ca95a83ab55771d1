"""The append-only prediction log: written before an answer leaves, compacted into `predictions/day=.../`."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core import predictions
from pipelines.core.errors import StoreError
from pipelines.core.state import disk_message, locked, write_atomic

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.core.domain import DomainSchema

logger = logging.getLogger(__name__)

OPEN, CLOSED = ".open.jsonl", ".jsonl"


class Journal:
    """JSON lines of one service process.

    A line is handed to the operating system before its answer is sent, so killing the process loses none. A power cut
    may lose what the disk had not got: at most `fsync_seconds` of lines.
    """

    def __init__(self, folder: Path, *, segment_bytes: int, fsync_seconds: float) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._fsync_seconds = fsync_seconds
        self._lock = threading.Lock()
        self._synced = time.monotonic()
        self._descriptor: int | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Append rows in one write; StoreError when the disk refuses, and then no part of them stays."""
        data = b"".join(
            json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n" for row in rows
        )
        with self._lock:
            descriptor = self._opened()
            size = os.fstat(descriptor).st_size
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
                if time.monotonic() - self._synced >= self._fsync_seconds:
                    os.fsync(descriptor)
                    self._synced = time.monotonic()
            except OSError as error:
                os.ftruncate(descriptor, size)
                raise StoreError(disk_message(self._path, error)) from error
            if size + len(data) >= self._segment_bytes:
                self._close()

    def sync(self) -> None:
        """Hand everything written so far to the disk."""
        with self._lock:
            if self._descriptor is not None:
                os.fsync(self._descriptor)
                self._synced = time.monotonic()

    def close(self) -> None:
        """Close the open segment, so that it can be compacted."""
        with self._lock:
            self._close()

    def _opened(self) -> int:
        if self._descriptor is None:
            self._path = self.folder / f"{time.time_ns()}-{os.getpid()}{OPEN}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o644)
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is None:
            return
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None
        self._path.rename(self._path.with_name(self._path.name.removesuffix(OPEN) + CLOSED))


def compact(folder: Path, *, schema: DomainSchema, root: Path | None = None) -> dict[str, int]:
    """Move the lines of finished segments to `predictions/day=.../`; a broken line is set aside with its place.

    Returns {"segments", "rows", "added", "broken"}. A segment is removed after its rows are on disk, so a crash between
    repeats it, and a repeated row changes nothing. Segments that a dead process left open are taken too.
    """
    import pandas as pd

    counts = {"segments": 0, "rows": 0, "added": 0, "broken": 0}
    with locked(folder / "compaction"):
        for file in sorted(folder.glob("*.jsonl")):
            if file.name.endswith(OPEN) and _is_alive(file):
                continue
            rows, broken = _read(file, schema=schema)
            counts["segments"], counts["broken"] = counts["segments"] + 1, counts["broken"] + len(broken)
            if broken:
                aside = folder / "broken" / f"{file.name}.txt"
                write_atomic(aside, "".join(broken).encode())
                logger.warning("%s: %d broken line(s), set aside in %s", file.name, len(broken), aside)
            if rows:
                frame = predictions.as_predictions(pd.concat(rows, ignore_index=True), schema=schema)
                counts["rows"] += len(frame)
                counts["added"] += predictions.add_predictions(frame, root=root)
            file.unlink()
    return counts


def _read(file: Path, *, schema: DomainSchema) -> tuple[list[pd.DataFrame], list[str]]:
    import pandas as pd

    good: list[dict[str, Any]] = []
    broken = []
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
            missing = [name for name in predictions.columns_of(schema) if name not in row]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}")
            for name in ("received_at", "served_at"):
                row[name] = pd.Timestamp(row[name])
            predictions.as_predictions(pd.DataFrame([row]), schema=schema)
            good.append(row)
        except Exception as error:  # whatever is wrong with one line, the others are kept
            broken.append(f"{file.name} line {number}: {error}: {line[:500]!r}\n")
    return ([pd.DataFrame(good)] if good else []), broken


def _is_alive(file: Path) -> bool:
    pid = int(file.name.removesuffix(OPEN).rpartition("-")[2])
    return Path(f"/proc/{pid}").exists() if pid != os.getpid() else True
