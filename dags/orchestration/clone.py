"""The managed clone of the project's repository, and git as everything here calls it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from .process import locked
from .project import Project
from .request import RequestError

SETTINGS = ["-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", "-c", "gc.auto=0"]
SETTINGS += ["-c", "user.name=orchestration", "-c", "user.email=orchestration@localhost"]


class WorkspaceError(RuntimeError):
    """A workspace or the managed clone is not as it has to be; the message says what to do."""


def git(folder: Path, *arguments: str, check: bool = True, keep: Sequence[int] = ()) -> str:
    """Run git in a folder with an argument list and return what it says; WorkspaceError when it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    answer = subprocess.run(
        ["git", "-C", str(folder), *SETTINGS, *arguments],
        env={**environment, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=tuple(keep),
    )
    if answer.returncode and check:
        raise WorkspaceError(f"git {' '.join(arguments)} in {folder}: {(answer.stderr or answer.stdout).strip()}")
    return answer.stdout.strip() if not answer.returncode else ""


class Clone:
    """The managed clone that all workspaces are worktrees of."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.path = project.runs / "clone"

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the clone: worktrees, fetches and refs are changed by one process at a time."""
        with locked(self.project.runs / "clone.lock") as descriptor:
            yield descriptor

    def update(self, *, keep: Sequence[int] = ()) -> None:
        """Make or refresh the clone; a clone that a crash left half made is made again."""
        if not (self.path / ".git" / "HEAD").is_file():
            partial = self.path.with_name("clone.partial")
            for left in (partial, self.path):
                shutil.rmtree(left, ignore_errors=True)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            git(
                self.path.parent,
                "clone",
                "--quiet",
                "--no-checkout",
                "--",
                self.project.origin,
                str(partial),
                keep=keep,
            )
            git(partial, "config", "gc.auto", "0", keep=keep)
            git(partial, "checkout", "--quiet", "--detach", keep=keep)  # no branch is taken by the clone itself
            partial.rename(self.path)
        self._unlock()
        git(self.path, "remote", "set-url", "origin", self.project.origin, keep=keep)
        heads = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
        git(self.path, "fetch", "--quiet", "--prune", "--no-tags", "origin", *heads, keep=keep)
        git(self.path, "fetch", "--quiet", "origin", "HEAD", keep=keep)
        git(self.path, "update-ref", "refs/remotes/origin/HEAD", "FETCH_HEAD", "--no-deref", keep=keep)

    def _unlock(self) -> None:
        """Remove lock files of a git that was killed: whoever holds the clone's lock knows that none is at work.

        But for the runs' own branches: a stage of another run commits to its branch without this lock.
        """
        folder = self.path / ".git"
        own = folder / "refs" / "heads" / "runs"
        for left in [*folder.glob("*.lock"), *(folder / "refs").rglob("*.lock")]:
            if not left.name.startswith("index") and own not in left.parents:
                left.unlink(missing_ok=True)
        # A worktree that a killed git left half made names no commit, and every later fetch would fail on it.
        for half in (folder / "worktrees").glob("*/locked"):
            shutil.rmtree(half.parent, ignore_errors=True)

    def commit_of(self, ref: str) -> str:
        """The commit that a branch, tag or commit name of the origin stands for."""
        names = [f"refs/remotes/origin/{ref}", f"refs/tags/{ref}"]
        if re.fullmatch(r"[0-9a-f]{7,64}", ref):
            names.append(ref)
        for name in names:
            if found := git(
                self.path, "rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}", check=False
            ):
                return found
        raise RequestError(f"ref = {ref!r}: {self.project.origin} has no such branch, tag or commit")
