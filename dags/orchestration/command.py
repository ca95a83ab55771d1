"""Run one command of a run so that a later try can find it, end it and be sure that it has ended."""

from __future__ import annotations

import contextlib
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

from .constants import GRACE_SECONDS, POLL_SECONDS, TASK_VARIABLE, TRY_VARIABLE
from .process import end_all, locked, start_time, write_atomic

logger = logging.getLogger(__name__)


class Overtaken(RuntimeError):
    """Another try of the same task has taken over; this one must not touch the workspace any more."""


class Orphaned(RuntimeError):
    """The process that supervised this one has ended; its outcome would be lost."""


class Command:
    """A command of a task in a workspace, in a process group of its own, with its output in a file."""

    def __init__(self, *, mark: str, folder: Path, name: str) -> None:
        self.mark = mark
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        self.record_file = folder / f"{name}.json"
        self.lock_file = folder / f"{name}.lock"
        self.log_file = folder / f"{name}.log"
        self.result_file = folder / f"{name}.result"
        self.token = uuid.uuid4().hex
        self.process: subprocess.Popen[bytes] | None = None

    def previous(self) -> dict[str, Any] | None:
        """Return the record that the last try wrote, or None when it cannot be read."""
        return read_object(self.record_file)

    def settle(self) -> bool:
        """Take over from an earlier try and end what it left running; True when it had not ended by itself."""
        with locked(self.lock_file):  # taken over first: an earlier try that is still alive must stop writing
            record = self.previous()
            write_atomic(self.record_file, json.dumps({"ended": True, **(record or {}), "token": self.token}) + "\n")
        killed = end_all(self.mark, record=record)
        if killed:
            logger.warning("ended processes that an earlier try had left running: %s", killed)
        return bool(killed) or (record is not None and not record.get("ended"))

    def start(
        self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], keep: Sequence[int] = ()
    ) -> None:
        """Start the command: nothing on stdin, output to the log file, descriptors of `keep` inherited.

        Raises Overtaken when a later try has taken over since this one settled.
        """
        self.record_file.parent.mkdir(parents=True, exist_ok=True)
        # A file and not a pipe: a command with much output must survive the death of the process that reads it.
        # An orchestrator's task has its supervisor's socket as stdin; a child that inherited it would keep it open.
        with locked(self.lock_file), self.log_file.open("wb") as output:
            self._refuse_if_overtaken()
            self.result_file.unlink(missing_ok=True)
            # Written before the command can have done anything: a kill in between must not look like an end.
            write_atomic(self.record_file, json.dumps({"token": self.token, "ended": False}) + "\n")
            self.process = subprocess.Popen(
                list(arguments),
                cwd=folder,
                env={**environment, TASK_VARIABLE: self.mark, TRY_VARIABLE: self.token},
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
        started = start_time(pid) if not ended else None
        kept = {"start": started} if started is not None else {"start": (self.previous() or {}).get("start", 0.0)}
        record = {"pid": pid, **kept, "token": self.token, "ended": ended, "returned": returned}
        write_atomic(self.record_file, json.dumps(record) + "\n")

    def lines(self) -> Iterator[str]:
        """Yield the output line by line until the command has ended.

        Ends the command and raises Orphaned when the process that supervises this one has ended.
        """
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
                    raise Orphaned(f"{self.mark}: the supervising process has ended, and the command was ended with it")
                if not chunk:
                    time.sleep(POLL_SECONDS)

    def wait(self) -> int:
        """Return the exit status; Overtaken when a later try of the same task has started meanwhile."""
        assert self.process is not None
        status = self.process.wait()
        end_all(self.token, variable=TRY_VARIABLE)  # a background process of the command would continue to write
        with locked(self.lock_file):
            self._refuse_if_overtaken()
            self._write(ended=True, returned=status)
        return status

    def result(self) -> dict[str, Any] | None:
        """Return the JSON object that the command wrote to its result file, or None."""
        return read_object(self.result_file)

    def end(self) -> None:
        """Ask the whole process group to stop, then kill it."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)
        end_all(self.token, variable=TRY_VARIABLE)  # never those of a later try
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS)


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None when it is missing or not a JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
