"""Run one command of a run so that a later try can find it, end it and know that it is gone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

MARK = "ORCHESTRATION_TASK"  # environment variable that every process of a task inherits
TRY = "ORCHESTRATION_TRY"  # the same, of one try of it
POLL_SECONDS = 0.05
GRACE_SECONDS = 10.0


class Overtaken(RuntimeError):
    """Another try of the same task has taken over; this one must not touch the workspace any more."""


class Orphaned(RuntimeError):
    """The process that watched over this one is gone; nobody would hear of the outcome."""


def boot_id() -> str:
    """Identity of the running kernel: process ids of another boot mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _status(pid: int) -> tuple[str, int, str] | None:
    """State letter, process group and start time of a process, or None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[2]), fields[19]


def alive(pid: int) -> bool:
    """True for a process that can still do something: it exists and is no zombie."""
    status = _status(pid)
    return status is not None and status[0] not in {"Z", "X"}


def start_time(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot: with the pid it names one process for ever."""
    status = _status(pid)
    return status[2] if status else None


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold an advisory lock on `path` and yield its descriptor; it falls with the last process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield file.fileno()


def write_whole(path: Path, text: str) -> None:
    """Write a file or nothing: a temporary file beside it, renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def marked(mark: str, *, prefix: bool = False, variable: str = MARK) -> list[int]:
    """Processes of this machine that carry the mark of a task (or, with `prefix`, of any task of a run).

    With `variable=TRY` the mark is a try's token.
    """
    wanted = f"{variable}={mark}".encode()
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208  names only, ten times cheaper than paths
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            variables = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(v == wanted or (prefix and v.startswith(wanted)) for v in variables) and alive(int(entry)):
            found.append(int(entry))
    return found


def end_all(
    mark: str, *, prefix: bool = False, variable: str = MARK, record: Mapping[str, Any] | None = None
) -> list[int]:
    """Kill every process of a task and wait until none is left; returns those that were there."""
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
    """Living members of a recorded process group, unless its number now belongs to somebody else."""
    if not record or record.get("boot") != boot_id():
        return []
    leader = _status(int(record["pid"]))
    if leader is not None and leader[2] != record["start"]:
        return []
    members = []
    for entry in os.listdir("/proc"):  # noqa: PTH208
        status = _status(int(entry)) if entry.isdigit() else None
        if status and status[1] == record["pid"] and status[0] not in {"Z", "X"}:
            members.append(int(entry))
    return members


class Command:
    """A command of a task in a workspace, in a process group of its own, with its output in a file."""

    def __init__(self, *, mark: str, folder: Path, name: str) -> None:
        self.mark = mark
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        self.record_file = folder / f"{name}.json"
        self.lock_file = folder / f"{name}.lock"
        self.log_file = folder / f"{name}.log"
        self.token = uuid.uuid4().hex
        self.process: subprocess.Popen[bytes] | None = None

    def previous(self) -> dict[str, Any] | None:
        """What the last try wrote down about itself, if anything readable."""
        try:
            record = json.loads(self.record_file.read_text())
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def settle(self) -> bool:
        """Take over from an earlier try and end what it left running; True when it had not ended by itself."""
        with locked(self.lock_file):  # taken over first: an earlier try that still lives must not write any more
            record = self.previous()
            write_whole(self.record_file, json.dumps({"ended": True, **(record or {}), "token": self.token}) + "\n")
        killed = end_all(self.mark, record=record)
        if killed:
            logger.warning("ended what an earlier try had left running: processes %s", killed)
        return bool(killed) or (record is not None and not record.get("ended"))

    def start(
        self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], keep: Sequence[int] = ()
    ) -> None:
        """Start the command: nothing on stdin, output to the log file, `keep` descriptors inherited.

        Raises Overtaken when a later try has taken over since this one settled.
        """
        self.record_file.parent.mkdir(parents=True, exist_ok=True)
        # A file and not a pipe: a chatty command must survive the death of whoever reads its output.
        # An orchestrator's task has its supervisor's socket as stdin; a child that inherited it would keep it open.
        with locked(self.lock_file), self.log_file.open("wb") as output:
            self._refuse_if_overtaken()
            # Written before the command can have done anything: a kill in between must not look like an end.
            write_whole(self.record_file, json.dumps({"token": self.token, "ended": False}) + "\n")
            self.process = subprocess.Popen(
                list(arguments),
                cwd=folder,
                env={**environment, MARK: self.mark, TRY: self.token},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=tuple(keep),
            )
            self._write(ended=False)

    def _refuse_if_overtaken(self) -> None:
        record = self.previous()
        if record is not None and record.get("token") != self.token:
            raise Overtaken(f"{self.mark}: a later try has taken over; this one ends here")

    def _write(self, *, ended: bool, returned: int | None = None) -> None:
        assert self.process is not None
        pid = self.process.pid
        record = {"pid": pid, "start": start_time(pid), "boot": boot_id(), "token": self.token, "ended": ended}
        write_whole(self.record_file, json.dumps({**record, "returned": returned}) + "\n")

    def lines(self) -> Iterator[str]:
        """Follow the output until the command has ended, and end it when nobody watches over this process any more."""
        assert self.process is not None
        parent = os.getppid()
        rest = ""
        with self.log_file.open(encoding="utf-8", errors="replace", newline="\n") as file:
            while True:
                ended = self.process.poll() is not None
                chunk = file.read()
                *full, rest = (rest + chunk).split("\n")
                for line in full:
                    yield line.rstrip("\r").rpartition("\r")[2]  # of a progress bar its last state
                if ended and not chunk:
                    if rest:
                        yield rest
                    return
                if os.getppid() != parent:
                    self.end()
                    raise Orphaned(f"{self.mark}: the supervising process is gone; the command was ended")
                if not chunk:
                    time.sleep(POLL_SECONDS)

    def wait(self) -> int:
        """Exit status; Overtaken when a later try of the same task has started meanwhile."""
        assert self.process is not None
        status = self.process.wait()
        end_all(self.token, variable=TRY)  # what a command leaves in the background would go on writing
        with locked(self.lock_file):
            self._refuse_if_overtaken()
            self._write(ended=True, returned=status)
        return status

    def end(self) -> None:
        """Ask the whole group to stop, then make it."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)
        end_all(self.token, variable=TRY)  # never those of a later try
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)
