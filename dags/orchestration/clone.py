"""The managed clone of the project's repository, shared by the worktrees of all runs."""

from __future__ import annotations

import contextlib
import logging
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from .constants import FETCH_TRIES, GIT_SETTINGS
from .git import WorkspaceError, git, refs_of
from .process import locked
from .project import Project
from .request import RequestError

logger = logging.getLogger(__name__)


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
        """Make the clone where it is missing, then fetch everything from the origin. The caller holds the clone.

        Git ends a fetch from a shallow repository with 0 also where it left a ref at an old commit: what was fetched is
        compared with what the origin reports. Raises WorkspaceError where they differ.
        """
        if not self.complete:
            self._make(keep=keep)
        self._remove_stale_locks()
        git(self.path, "remote", "set-url", "origin", self.project.origin, keep=keep)
        refs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
        fetch = ["fetch", "--quiet", "--update-shallow", "--no-tags", "origin"]
        for _ in range(FETCH_TRIES):
            git(self.path, *fetch, "--prune", *refs, keep=keep)
            git(self.path, *fetch, "HEAD", keep=keep)
            git(self.path, "update-ref", "refs/remotes/origin/HEAD", "FETCH_HEAD", "--no-deref", keep=keep)
            if not (stale := self._stale(keep=keep)):
                return
        raise WorkspaceError(
            f"after a fetch from {self.project.origin} these refs are not what it reports: {', '.join(stale)}. "
            "If it is a shallow clone: git fetch --unshallow"
        )

    def _stale(self, *, keep: Sequence[int]) -> list[str]:
        """Return the origin's refs that this clone has at another commit."""
        reported = refs_of(self.path, "origin", keep=keep)
        listing = git(self.path, "for-each-ref", "--format=%(refname) %(*objectname) %(objectname)", keep=keep)
        here = {parts[0]: parts[1] for line in listing.splitlines() if (parts := line.split())}
        heads, tags = "refs/heads/", "refs/tags/"
        names = {
            name: name.replace(heads, "refs/remotes/origin/", 1) for name in reported if name.startswith((heads, tags))
        }
        names |= {"HEAD": "refs/remotes/origin/HEAD"} if "HEAD" in reported else {}
        return [name for name, ref in names.items() if reported[name] != here.get(ref)]

    def push(self, folder: Path, *refs: str, keep: Sequence[int]) -> None:
        """Push from a worktree to the origin; an origin on this machine runs its own hooks, not those of this user."""
        own = self._own_git_folder()
        hooks = shlex.quote(f"core.hooksPath={own / 'hooks'}") if own else ""
        program = [f"--receive-pack=git -c {hooks} receive-pack"] if own else []
        git(folder, "push", "--quiet", *program, "origin", *refs, keep=keep)

    def _own_git_folder(self) -> Path | None:
        """Return the git folder of an origin on this machine; None for a server's."""
        origin = Path(self.project.origin)
        if not origin.is_dir():
            return None
        return Path(git(origin, "rev-parse", "--path-format=absolute", "--git-common-dir"))

    def remove_stale_push_locks(self, refs: Sequence[str]) -> None:
        """Remove lock files that a killed push left at an origin on this machine; a server removes its own.

        The refs belong to one run, and the holder of the clone's lock knows that no other push of this run is running.
        """
        folder = self._own_git_folder()
        for left in [folder / f"{ref}.lock" for ref in refs] if folder else []:
            if left.exists():
                logger.warning("removed %s, which a killed push left", left)
                left.unlink(missing_ok=True)

    def _make(self, *, keep: Sequence[int]) -> None:
        partial = self.path.with_name("clone.partial")
        for left in (partial, self.path):
            shutil.rmtree(left, ignore_errors=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        arguments = ["clone", "--quiet", "--no-checkout", "--", self.project.origin, str(partial)]
        git(self.path.parent, *arguments, keep=keep)
        for name, value in GIT_SETTINGS.items():  # DVC and stages use this clone too
            git(partial, "config", name, value, keep=keep)
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
