"""Git, as every module here calls it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .constants import GIT_LOCATION, GIT_SETTINGS


class WorkspaceError(RuntimeError):
    """A workspace or the managed clone is in an unusable state; the message states what to do."""


def git(folder: Path, *arguments: str, check: bool = True, keep: Sequence[int] = ()) -> str:
    """Run git in a folder and return its stripped output; WorkspaceError when it fails.

    With `check=False` a failure returns "". The child inherits the descriptors of `keep` (locks that it must hold).
    """
    answer = subprocess.run(
        ["git", "-C", str(folder), *GIT_SETTINGS, *arguments],
        env={**without_git_location(os.environ), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=tuple(keep),
    )
    if answer.returncode and check:
        raise WorkspaceError(f"git {' '.join(arguments)} in {folder}: {(answer.stderr or answer.stdout).strip()}")
    return answer.stdout.strip() if not answer.returncode else ""


def without_git_location(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that name the location of a repository."""
    return {name: value for name, value in variables.items() if name not in GIT_LOCATION}
