"""Git, as every module here calls it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .constants import GIT_SETTINGS
from .environment import clean

SETTINGS = [word for name, value in GIT_SETTINGS.items() for word in ("-c", f"{name}={value}")]


class WorkspaceError(RuntimeError):
    """A workspace or the managed clone is in an unusable state; the message states what to do."""


class RefusedError(WorkspaceError):
    """A command refused its input with an exit code that another try cannot change."""


def git(folder: Path, *arguments: str, check: bool = True, keep: Sequence[int] = ()) -> str:
    """Run git in a folder and return its stripped output; WorkspaceError when it fails.

    With `check=False` a failure returns "". The child inherits the descriptors of `keep` (locks that it must hold).
    """
    answer = run(folder, *arguments, keep=keep)
    if answer.returncode and check:
        error = (answer.stderr or answer.stdout).decode(errors="replace").strip()
        raise WorkspaceError(f"git {' '.join(arguments)} in {folder}: {error}")
    return answer.stdout.decode(errors="replace").strip() if not answer.returncode else ""


def refs_of(folder: Path, remote: str, *patterns: str, keep: Sequence[int] = ()) -> dict[str, str]:
    """Return the refs that a remote reports: {full name: commit}, an annotated tag as the commit it names."""
    lines = git(folder, "ls-remote", "--quiet", remote, *patterns, keep=keep).splitlines()
    found = {name: commit for commit, _, name in (line.partition("\t") for line in lines)}
    return {name: found.get(name + "^{}", commit) for name, commit in found.items() if not name.endswith("^{}")}


def run(folder: Path, *arguments: str, keep: Sequence[int] = ()) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder, independent of the settings of the user and of this process; return what it answered."""
    return subprocess.run(
        ["git", "-C", str(folder), *SETTINGS, *arguments],
        env=clean(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        pass_fds=tuple(keep),
    )
