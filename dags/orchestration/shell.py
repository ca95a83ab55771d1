"""Short commands in a workspace."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .command import read_object
from .constants import FINAL_EXIT_CODES
from .git import RefusedError, WorkspaceError
from .project import Project

NOTHING: Mapping[str, str] = MappingProxyType({})


class Shell:
    """Runs short commands in one folder, with `variables` in their environment."""

    def __init__(self, project: Project, path: Path, *, variables: Mapping[str, str] = NOTHING) -> None:
        self.project = project
        self.path = path
        self.variables = dict(variables)

    def environment(self) -> dict[str, str]:
        """Return the variables of a command here; DVC's state database belongs to this workspace and goes with it."""
        return self.project.environment(DVC_SITE_CACHE_DIR=str(self.path / ".dvc" / "tmp" / "site"), **self.variables)

    def run(self, arguments: Sequence[str], *, keep: Sequence[int] = (), variables: Mapping[str, str] = NOTHING) -> str:
        """Run a command and return its stdout; WorkspaceError with its last lines when it fails."""
        answer = subprocess.run(
            list(arguments),
            cwd=self.path,
            env={**self.environment(), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=tuple(keep),
        )
        if answer.returncode:
            last = "\n".join((answer.stderr.strip() or answer.stdout.strip()).splitlines()[-8:])
            kind = RefusedError if answer.returncode in FINAL_EXIT_CODES else WorkspaceError
            raise kind(f"{' '.join(map(str, arguments))}: exit status {answer.returncode}\n{last}")
        return answer.stdout

    def result_of(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Run a command and return the object that it wrote to its result file; WorkspaceError without one."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result.json"
            self.run(arguments, variables={self.project.result_variable: str(file)})
            result = read_object(file)
        if result is None:
            raise WorkspaceError(f"{' '.join(arguments)} wrote no result to ${self.project.result_variable}")
        return result
