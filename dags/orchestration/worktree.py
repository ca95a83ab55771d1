"""A git worktree of the managed clone, on a branch of its own."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from .clone import Clone
from .git import WorkspaceError, git
from .process import locked

logger = logging.getLogger(__name__)


class Worktree:
    """Files and commits of one run."""

    def __init__(self, clone: Clone, *, path: Path, branch: str) -> None:
        self.clone = clone
        self.path = path
        self.branch = branch
        self._branch_lock = clone.path / ".git" / "refs" / "heads" / f"{branch}.lock"

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold this worktree's git: one commit at a time."""
        with locked(self.path.with_name(f"{self.path.name}.lock")) as descriptor:
            yield descriptor

    @property
    def exists(self) -> bool:
        """True when the worktree exists, was completed, and git knows it."""
        marker = self._completion_marker()
        if marker is None or not marker.is_file():
            return False
        return bool(git(self.path, "rev-parse", "--verify", "--quiet", "HEAD", check=False))

    def _completion_marker(self) -> Path | None:
        """Return the file whose existence states that the worktree was completed, in git's folder of the worktree."""
        try:
            text = (self.path / ".git").read_text(encoding="utf-8")
        except OSError:
            return None
        return self.path / text.removeprefix("gitdir: ").strip() / "whole"  # relative with `worktree.useRelativePaths`

    def mark_complete(self) -> None:
        """Record that everything in the worktree is in place."""
        marker = self._completion_marker()
        assert marker is not None
        marker.write_text("")

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return git(self.path, "rev-parse", "HEAD")

    def has_branch(self) -> bool:
        """Return True when the branch exists here or at the origin: the run was prepared before, at least in part."""
        names = (f"refs/heads/{self.branch}", f"refs/remotes/origin/{self.branch}")
        return any(self.clone.find_ref(name) for name in names)

    def add(self, base: str | None, *, keep: Sequence[int]) -> None:
        """Check the branch out, from here or the origin; without one it starts at `base`. The caller holds the clone.

        Raises WorkspaceError when there is neither a branch nor a base.
        """
        if base is None or not self.clone.complete:
            self.clone.update(keep=keep)
        # Remains of a killed try: git itself would refuse to continue from them.
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(self.clone.path / ".git" / "worktrees" / self.path.name, ignore_errors=True)
        git(self.clone.path, "worktree", "prune", keep=keep)
        with self.locked():
            self._branch_lock.unlink(missing_ok=True)
        if not self.clone.find_ref(f"refs/heads/{self.branch}"):
            start = self.clone.find_ref(f"refs/remotes/origin/{self.branch}") or base
            if not start:
                raise WorkspaceError(f"this run has no workspace and no branch {self.branch}: clear the task `prepare`")
            git(self.clone.path, "branch", "--no-track", self.branch, start, keep=keep)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        git(self.clone.path, "worktree", "add", "--quiet", "--force", str(self.path), self.branch, keep=keep)

    def commit(self, message: str, paths: Sequence[str], *, empty: bool = False, keep: Sequence[int] = ()) -> str:
        """Commit the named files and nothing else; return the head. The caller holds the worktree.

        Never everything: a parallel stage's incomplete output would enter git, and DVC would then refuse that stage.
        """
        self._remove_stale_locks()
        named = [
            path
            for path in dict.fromkeys(paths)
            if (self.path / path).exists() or git(self.path, "ls-files", "--", path)  # made, or removed
        ]
        if named:
            git(self.path, "add", "--force", "--all", "--", *named, keep=keep)
        changed = git(self.path, "diff", "--cached", "--name-only", keep=keep)
        if changed or empty:
            extra = ["--allow-empty"] if empty else []
            git(self.path, "commit", "--quiet", *extra, "--message", message, keep=keep)
        return self.head

    def _remove_stale_locks(self) -> None:
        """Remove lock files that a killed git left: no other process commits here while this lock is held."""
        folder = Path(git(self.path, "rev-parse", "--path-format=absolute", "--git-dir"))
        for left in (folder / "index.lock", folder / "HEAD.lock", self._branch_lock):
            if left.exists():
                logger.warning("removed %s, which a killed git left", left)
                left.unlink(missing_ok=True)

    def pushed(self) -> bool:
        """Return True when the origin has every commit of the branch, as far as the clone knows."""
        there = self.clone.find_ref(f"refs/remotes/origin/{self.branch}")
        return bool(there) and there == self.clone.find_ref(f"refs/heads/{self.branch}")

    def remove(self, *, forget: bool, keep: Sequence[int]) -> None:
        """Remove the worktree, and with `forget` the local branch too. The caller holds the clone."""
        shutil.rmtree(self.path, ignore_errors=True)
        git(self.clone.path, "worktree", "prune", keep=keep)
        if forget:
            git(self.clone.path, "branch", "--quiet", "-D", self.branch, check=False, keep=keep)
        self.path.with_name(f"{self.path.name}.lock").unlink(missing_ok=True)
