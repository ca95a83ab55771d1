"""The workspace of one run: a git worktree on its own branch, DVC in it, and the record of what was asked for."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import lockfile
from .clone import Clone
from .constants import PREPARED, REQUEST
from .dvc_checkout import DvcCheckout
from .git import WorkspaceError, git
from .process import locked, marked
from .project import Project
from .shell import Shell
from .worktree import Worktree


def slug(run_id: str, dag_id: str) -> str:
    """Return a name for files, branches and tags: readable, and unique by a digest. Run ids are unique per DAG only."""
    run, dag = (re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:60].strip("-") or "run" for text in (run_id, dag_id))
    return f"{run}-{dag}-{hashlib.sha256(f'{dag_id}/{run_id}'.encode()).hexdigest()[:8]}"


class Workspace:
    """The working copy of one run of one DAG; `actor` is the person or program that started the run."""

    def __init__(
        self, project: Project, run_id: str, *, dag_id: str, actor: str | None = None, name: str | None = None
    ) -> None:
        self.project = project
        self.run_id = run_id
        self.slug = name or slug(run_id, dag_id)
        tree = project.runs / "work" / self.slug
        self.path = tree / project.folder
        self.tasks = project.runs / "tasks" / self.slug
        self.branch = f"runs/{self.slug}"
        self.clone = Clone(project)
        self.tree = Worktree(self.clone, path=tree, branch=self.branch)
        variables = {project.actor_variable: actor} if actor else {}
        self.shell = Shell(project, self.path, variables=variables)
        self.dvc = DvcCheckout(self.shell, tasks=self.tasks)

    @classmethod
    def named(cls, project: Project, name: str) -> Workspace:
        """Return the workspace with that folder name; the ids of its DAG and run are not known."""
        return cls(project, name, dag_id="", name=name)

    def mark(self, task: str = "") -> str:
        """Return the mark of a task's processes, or the prefix of the marks of all tasks of this run."""
        return f"{self.project.home}#{self.slug}/{task}"

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold git and DVC of this workspace."""
        with self.tree.locked() as descriptor, self.dvc.locked():
            yield descriptor

    def restore(self, *, base: str | None = None) -> bool:
        """Restore the workspace at its run's last commit, or make it at `base`; True when it did not exist."""
        if self.tree.exists:
            return False
        with locked(self._making_lock) as making:
            if self.tree.exists:  # another task of this run was first
                return True
            with self.clone.locked() as held:
                self.tree.add(base, keep=[held])
            self.dvc.configure()
            self.dvc.export_graph(checkout=True, keep=[making])
            self.tree.mark_complete()
        return True

    @property
    def _making_lock(self) -> Path:
        return self.tree.path.with_name(f"{self.slug}.making.lock")

    def prepared(self) -> dict[str, Any] | None:
        """Return what `prepare` recorded in its last commit, or None when it has not finished."""
        found = git(self.path, "log", "-1", f"--grep=^{PREPARED}: {self.slug}$", "--format=%b", check=False)
        for line in found.splitlines():
            if line.startswith(f"{REQUEST}: "):
                with contextlib.suppress(ValueError):
                    return dict(json.loads(line.removeprefix(f"{REQUEST}: ")))
        return None

    def record_preparation(self, request: Mapping[str, Any], paths: Sequence[str]) -> None:
        """Commit the prepared files together with what the run was asked for."""
        line = json.dumps(request, sort_keys=True, default=str, ensure_ascii=True)
        subject = f"run {self.run_id} of {request.get('dag_id')}: prepared"
        self.commit(f"{subject}\n\n{PREPARED}: {self.slug}\n{REQUEST}: {line}", paths, empty=True)

    def commit(self, message: str, paths: Sequence[str], *, empty: bool = False) -> str:
        """Commit the named files and nothing else; return the head."""
        with self.locked() as held:
            named = [str(Path(self.project.folder, path)) for path in paths]
            return self.tree.commit(message, named, empty=empty, keep=[held])

    @property
    def release_note(self) -> Path:
        """File that exists from the moment a release begins until its run is recorded at the origin."""
        return self.project.runs / "unrecorded" / f"{self.slug}.json"

    def committed_entry(self, stage: str) -> dict[str, Any] | None:
        """Return the stage's entry in the lock file of the run's last commit, or None."""
        file, name = lockfile.address(stage)
        return lockfile.parse(git(self.path, "show", f"HEAD:./{file}", check=False)).get(name)

    def remove(self, *, forget: bool) -> None:
        """Remove the workspace; with `forget` the local branch too, when the origin has it or nothing is lost.

        Raises WorkspaceError while processes of the run are alive.
        """
        if processes := marked(self.mark(), prefix=True):
            raise WorkspaceError(f"run {self.run_id} still has processes {processes}: its workspace is kept")
        with self.clone.locked() as held:
            self.tree.remove(forget=forget, keep=[held])
            shutil.rmtree(self.tasks, ignore_errors=True)
            self._making_lock.unlink(missing_ok=True)
