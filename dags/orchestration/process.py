"""Find and end the processes of a task, on Linux and macOS; advisory locks and atomic files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from .constants import CLOCK_SECONDS, POLL_SECONDS, TASK_VARIABLE

GONE = {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}


def alive(pid: int) -> bool:
    """Return True for a process that can still do something: it exists and is not a zombie."""
    try:
        return psutil.Process(pid).status() not in GONE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def start_time(pid: int) -> float | None:
    """Return the start time of a process in seconds since the epoch: with the pid it identifies one process."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold an advisory lock on `path` and yield its descriptor; the lock ends with the last process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield file.fileno()


def write_atomic(path: Path, text: str) -> None:
    """Write a file completely or not at all: a temporary file in the same folder, renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def marked(mark: str, *, prefix: bool = False, variable: str = TASK_VARIABLE) -> list[int]:
    """Return the processes of this machine that carry the mark of a task (with `prefix`: of any task of a run).

    With `variable=TRY_VARIABLE` the mark is the token of one try.
    """
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            value = process.environ().get(variable, "")
            matches = value.startswith(mark) if prefix else value == mark
            if matches and process.status() not in GONE:
                found.append(process.pid)
        except (psutil.Error, OSError, SystemError):  # gone meanwhile, or another user's
            continue
    return found


def end_all(
    mark: str, *, prefix: bool = False, variable: str = TASK_VARIABLE, record: Mapping[str, Any] | None = None
) -> list[int]:
    """Kill every process of a task and wait until none is left; return those that were found."""
    seen: set[int] = set()
    while True:
        members = set(marked(mark, prefix=prefix, variable=variable)) | set(_group(record))
        if not members:
            return sorted(seen)
        seen |= members
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _group(record: Mapping[str, Any] | None) -> list[int]:
    """Return the living members of a recorded process group, unless its number now belongs to another program."""
    if not record or "pid" not in record or float(record["start"]) < psutil.boot_time() - CLOCK_SECONDS:
        return []
    leader, started = int(record["pid"]), start_time(int(record["pid"]))
    if started is not None and abs(started - float(record["start"])) > CLOCK_SECONDS:
        return []
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) == leader and alive(pid):
                members.append(pid)
    return members
