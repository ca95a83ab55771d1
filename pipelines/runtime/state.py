"""Files of the state root: whole files written atomically, and append-only files with a chain of hashes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipelines.runtime.errors import StoreError

GENESIS = "0" * 64


def write_atomic(path: Path, content: bytes) -> None:
    """Write a whole file or nothing: temporary file in the same folder, fsync, rename. Raises StoreError."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".partial", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise StoreError(disk_message(path, error)) from error


def disk_message(path: Path, error: OSError) -> str:
    """Return one sentence about a failed write: what, where, and what to do."""
    if error.errno == errno.ENOSPC:
        return f"{path}: no space left on the device; nothing was written. Free some space and run again"
    return f"{path}: could not be written ({error.strerror or error}); nothing was written"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive advisory lock for `path`; it ends with the process, so it is never stale."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return every record of an append-only file; a last line that a crash cut is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except ValueError:
            if number == len(lines):  # without a newline: an interrupted write
                continue
            raise StoreError(f"{path}, line {number} is not JSON: {line[:80]!r}") from None
    return records


def append_line(
    path: Path, record: dict[str, Any], *, chained: bool = False, sign: Callable[[str], str | None] | None = None
) -> dict[str, Any]:
    """Append one JSON line, locked and fsynced; `chained` adds `previous` and `hash` (sha256 over both).

    `sign` makes a chained line's `signature` from its hash, or returns None.
    """
    with locked(path):
        if chained:
            known = verify_chain(path)
            record = {**record, "previous": known[-1]["hash"] if known else GENESIS}
            record["hash"] = chain_hash(record)
            if sign is not None and (signature := sign(record["hash"])) is not None:
                record["signature"] = signature
        line = json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            with path.open("ab+") as file:
                size = file.seek(0, os.SEEK_END)
                if size:
                    file.seek(size - 1)
                    if file.read(1) != b"\n":  # a crash cut the last line, which was never acknowledged
                        file.seek(0)
                        file.truncate(file.read().rfind(b"\n") + 1)
                        file.seek(0, os.SEEK_END)
                try:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(size)
                    raise
        except OSError as error:
            raise StoreError(disk_message(path, error)) from error
    return record


def chain_hash(record: dict[str, Any]) -> str:
    """Return the sha256 of the record without its own hash and the signature of that hash, in canonical JSON."""
    body = {key: value for key, value in record.items() if key not in ("hash", "signature")}
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()).hexdigest()


def verify_chain(path: Path) -> list[dict[str, Any]]:
    """Return every record of a chained file; StoreError names the first line that was changed, removed or inserted."""
    records = read_lines(path)
    previous = GENESIS
    for number, record in enumerate(records, start=1):
        if record.get("previous") != previous or record.get("hash") != chain_hash(record):
            raise StoreError(
                f"{path}, line {number}: the chain of hashes is broken; the file was edited after the fact"
            )
        previous = record["hash"]
    return records
