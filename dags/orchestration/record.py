"""Publish a run: the order of its lock file, branch and tag at the origin, data at the remote."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import time
from collections.abc import Sequence
from typing import Any

from . import lockfile
from .command import read_object
from .constants import PUSH_TRIES, RELEASED, UNRECORDED_SECONDS
from .git import WorkspaceError, git, refs_of
from .process import write_atomic
from .project import Project
from .workspace import Workspace


def unrecorded(project: Project) -> list[dict[str, Any]]:
    """Return the runs that began a release more than an hour ago and did not record it, each of them once."""
    found = []
    for file in sorted((project.runs / "unrecorded").glob("*.json")):
        with contextlib.suppress(FileNotFoundError):  # recorded meanwhile
            note = read_object(file) or {}
            if not note.get("reported") and file.stat().st_mtime < time.time() - UNRECORDED_SECONDS:
                found.append(note)
                write_atomic(file, json.dumps({**note, "reported": True}))
    return found


def order_stages(workspace: Workspace) -> str:
    """Put the lock files' stages in the order of one `dvc repro`, and commit; return the head."""
    made = workspace.prepared() or {}
    files: dict[str, list[str]] = {}
    for name in workspace.dvc.stages:
        file, short = lockfile.address(name)
        files.setdefault(file, []).append(short)
    for file, order in files.items():
        path = workspace.path / file
        if not path.is_file():
            continue
        before = git(workspace.path, "show", f"{made.get('base', 'HEAD')}:./{file}", check=False)
        text = path.read_text(encoding="utf-8")
        ordered = lockfile.in_order(text, order=order, before=before or None)
        if ordered != text:
            write_atomic(path, ordered)
    return workspace.commit("record: stages in the order of one dvc repro", list(files))


def push(workspace: Workspace, *, promoted: bool) -> str:
    """Push the run's branch, then its tag; return the tag. A tag never moves: a run that continued gets the next one.

    The tag comes last, in a push of its own: git moves the refs of one push one by one, so a kill can separate them,
    and the tag of a run promises that all the rest of the run is there.
    """
    with workspace.clone.locked() as held:
        head = workspace.tree.head
        for number in itertools.count(1):
            tag = f"{workspace.branch}.{number}"  # never the branch's own name, which git would find instead
            if (found := _commit_of_tag(workspace, tag)) in {"", head}:
                break
        if not found:
            git(workspace.path, "tag", tag, head, keep=[held])
        first = [f"refs/heads/{workspace.branch}"]
        if promoted:
            name = RELEASED + tag.removeprefix("runs/")
            git(workspace.path, "tag", "--force", name, head, keep=[held])
            first.append(f"refs/tags/{name}")
        for refs in (first, [f"refs/tags/{tag}"]):
            workspace.clone.remove_stale_push_locks(refs)
            workspace.clone.push(workspace.path, "--atomic", *(f"{ref}:{ref}" for ref in refs), keep=[held])
            _read_back(workspace, refs, head, keep=[held])
    return tag


def _read_back(workspace: Workspace, refs: Sequence[str], head: str, *, keep: Sequence[int]) -> None:
    """Ask the origin itself what it recorded; WorkspaceError where that is another commit than the one pushed."""
    reported = refs_of(workspace.path, "origin", *refs, keep=keep)
    if wrong := [f"{ref} is {reported.get(ref, 'missing')}" for ref in refs if reported.get(ref) != head]:
        raise WorkspaceError(f"{head} was pushed to {workspace.project.origin}, and there {', '.join(wrong)}")


def _commit_of_tag(workspace: Workspace, tag: str) -> str:
    return git(workspace.path, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}", check=False)


def catch_up(workspace: Workspace) -> None:
    """Fetch and check out what other hosts have pushed to this run's branch (only for a run on several hosts)."""
    branch = workspace.branch
    refspec = f"+refs/heads/{branch}:refs/remotes/origin/{branch}"
    with workspace.clone.locked() as held, workspace.locked():
        git(workspace.path, "fetch", "--quiet", "origin", refspec, keep=[held])
        git(workspace.path, "reset", "--quiet", "--hard", f"refs/remotes/origin/{branch}", keep=[held])
    workspace.dvc.checkout()


def share(workspace: Workspace, *, stage: str | None = None, log: logging.Logger | Any) -> str:
    """Push a stage's data and the run's branch for other hosts; where another was first, put this commit on top.

    Returns the head. Raises WorkspaceError when the branch could not be pushed.
    """
    if stage is not None:
        workspace.shell.run(workspace.dvc.arguments("push", "--run-cache", stage))
    for attempt in range(PUSH_TRIES):
        try:
            with workspace.clone.locked() as held:
                refs = f"refs/heads/{workspace.branch}:refs/heads/{workspace.branch}"
                workspace.clone.push(workspace.path, refs, keep=[held])
                _read_back(workspace, [f"refs/heads/{workspace.branch}"], workspace.tree.head, keep=[held])
            return workspace.tree.head
        except WorkspaceError as error:
            if stage is None or not any(word in str(error) for word in ("rejected", "fetch first", "non-fast-forward")):
                raise
            log.info("another host was first (try %d): this stage is put on top of its commits", attempt + 1)
            _put_on_top(workspace, stage)
            time.sleep(0.2 * attempt)
    raise WorkspaceError(f"{workspace.branch} could not be pushed in {PUSH_TRIES} tries: too many hosts at once")


def _put_on_top(workspace: Workspace, stage: str) -> None:
    """Start from the remote branch and let the run cache restore the stage's result: lock files are never merged."""
    described = workspace.dvc.stages[stage]
    kept = {path: (workspace.path / path).read_bytes() for path in _after_outs(workspace, described)}
    catch_up(workspace)
    workspace.shell.run(workspace.dvc.arguments("repro", "--single-item", "--pull", stage))
    for path, content in kept.items():
        (workspace.path / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace.path / path).write_bytes(content)
    file = lockfile.address(stage)[0]
    workspace.commit(f"{stage}: on top of another host's", [file, *described["git_outs"], *kept])


def _after_outs(workspace: Workspace, described: dict[str, Any]) -> list[str]:
    return [path for path in described["airflow"].get("after_outs", []) if (workspace.path / path).is_file()]
