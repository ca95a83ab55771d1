"""Kill a Python process at a chosen file event, so that a test's moment of a kill is a place and not a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# Audit events come before the event itself: a file is about to be opened for writing, or to get its final name.
HOOK = """
import atexit as _atexit, os as _os, sys as _sys
_below, _at, _counter, _seen = _sys.argv[1], int(_sys.argv[2]), _sys.argv[3], [0]
del _sys.argv[1:4]
def _count(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (_os.O_WRONLY | _os.O_RDWR)
    if (writes or event == "os.rename") and _below in str(arguments[0]):
        _seen[0] += 1
        if _seen[0] == _at:
            _os.kill(_os.getpid(), 9)
_sys.addaudithook(_count)
_atexit.register(lambda: open(_counter, "w").write(str(_seen[0])))
"""


def module(name: str) -> str:
    """Return code that runs a module as `python -m` does."""
    return f"import runpy; runpy.run_module({name!r}, run_name='__main__', alter_sys=True)"


def command(code: str, *arguments: str, below: str, at: int = 0, counter: Path) -> list[str]:
    """Return a command that runs `code` and kills itself at the `at`-th file event whose path contains `below`.

    With `at=0` it is not killed, and `counter` gets the number of its events.
    """
    return [sys.executable, "-c", HOOK + code, below, str(at), str(counter), *arguments]


def assert_killed(words: list[str], *, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run the command to its kill."""
    done = subprocess.run(words, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
