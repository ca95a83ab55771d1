"""The managed clone of the project's repository, shared by the worktrees of all runs."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator, Sequence

from .git import git
from .process import locked
from .project import Project
from .request import RequestError


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

    @property
    def complete(self) -> bool:
        """True when the clone exists; a clone that a crash interrupted has another name."""
        return (self.path / ".git" / "HEAD").is_file()

    def update(self, *, keep: Sequence[int] = ()) -> None:
        """Make the clone where it is missing, then fetch everything from the origin. The caller holds the clone."""
        if not self.complete:
            self._make(keep=keep)
        self._remove_stale_locks()
        git(self.path, "remote", "set-url", "origin", self.project.origin, keep=keep)
        refs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
        git(self.path, "fetch", "--quiet", "--prune", "--no-tags", "origin", *refs, keep=keep)
        git(self.path, "fetch", "--quiet", "origin", "HEAD", keep=keep)
        git(self.path, "update-ref", "refs/remotes/origin/HEAD", "FETCH_HEAD", "--no-deref", keep=keep)

    def _make(self, *, keep: Sequence[int]) -> None:
        partial = self.path.with_name("clone.partial")
        for left in (partial, self.path):
            shutil.rmtree(left, ignore_errors=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        arguments = ["clone", "--quiet", "--no-checkout", "--", self.project.origin, str(partial)]
        git(self.path.parent, *arguments, keep=keep)
        git(partial, "config", "gc.auto", "0", keep=keep)
        git(partial, "checkout", "--quiet", "--detach", keep=keep)  # the clone itself occupies no branch
        partial.rename(self.path)

    def _remove_stale_locks(self) -> None:
        """Remove lock files of a killed git: the holder of the clone's lock knows that no other git is running in it.

        The branches of runs are an exception: a stage of another run commits to its branch without this lock.
        """
        folder = self.path / ".git"
        branches = folder / "refs" / "heads" / "runs"
        for left in [*folder.glob("*.lock"), *(folder / "refs").rglob("*.lock")]:
            if not left.name.startswith("index") and branches not in left.parents:
                left.unlink(missing_ok=True)
        # A worktree that a killed git left incomplete refers to no commit, and every later fetch would fail on it.
        for incomplete in (folder / "worktrees").glob("*/locked"):
            shutil.rmtree(incomplete.parent, ignore_errors=True)

    def find_ref(self, name: str) -> str:
        """Return the commit of a full ref name in the clone, or ""."""
        if not (self.path / ".git").exists():
            return ""
        return git(self.path, "rev-parse", "--verify", "--quiet", name, check=False)

    def commit_of(self, ref: str) -> str:
        """Return the commit of a branch, tag or commit name of the origin; RequestError when it has none."""
        names = [f"refs/remotes/origin/{ref}", f"refs/tags/{ref}"]
        if re.fullmatch(r"[0-9a-f]{7,64}", ref):
            names.append(ref)
        for name in names:
            arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}"]
            if found := git(self.path, *arguments, check=False):
                return found
        raise RequestError(f"invalid ref = {ref!r}: {self.project.origin} has no such branch, tag or commit")
