"""Take a run out of its workspace: one order of the lock file, branch and tag at the origin, data at the remote."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from . import lockfile
from .clone import WorkspaceError, git
from .process import write_whole
from .workspace import Workspace

logger = logging.getLogger(__name__)

RELEASED = "released/"  # tags below this are never collected: a present or past champion came from them
TRIES = 8


def tidy(workspace: Workspace) -> str:
    """Put the lock files' stages in the order of one `dvc repro`, and commit; returns the head."""
    made = workspace.prepared() or {}
    files: dict[str, list[str]] = {}
    for name in workspace.stages:
        file, short = lockfile.address(name)
        files.setdefault(file, []).append(short)
    for file, order in files.items():
        path = workspace.path / file
        if not path.is_file():
            continue
        before = git(workspace.path, "show", f"{made.get('base', 'HEAD')}:{file}", check=False)
        text = path.read_text(encoding="utf-8")
        mended = lockfile.in_order(text, order=order, before=before or None)
        if mended != text:
            write_whole(path, mended)
    return workspace.commit("record: stages in the order of one dvc repro", list(files))


def push(workspace: Workspace, *, promoted: bool) -> str:
    """Push the run's branch, then its tag; returns the tag. A tag never moves: a run that went on gets another.

    The tag comes last, in a push of its own: git moves the refs of one push one by one, so a kill can part them, and
    whoever finds the tag of a run must find all else of it.
    """
    with workspace.clone.locked() as held:
        head = workspace.head
        number, tag = 1, workspace.branch
        while (found := _tagged(workspace, tag)) not in {"", head}:
            number += 1
            tag = f"{workspace.branch}.{number}"
        if not found:
            git(workspace.path, "tag", tag, head, keep=[held])
        first = [f"refs/heads/{workspace.branch}"]
        if promoted:
            first.append(f"refs/tags/{RELEASED}{tag.removeprefix('runs/')}")
            git(workspace.path, "tag", "--force", first[-1].removeprefix("refs/tags/"), head, keep=[held])
        for refs in (first, [f"refs/tags/{tag}"]):
            _unlock(workspace, refs)
            git(workspace.path, "push", "--quiet", "--atomic", "origin", *(f"{ref}:{ref}" for ref in refs), keep=[held])
    return tag


def _unlock(workspace: Workspace, refs: list[str]) -> None:
    """Remove lock files that a killed push left at an origin on this machine.

    The refs are this run's own, and who holds the clone's lock knows that no other push of it is at work.
    """
    origin = Path(workspace.project.origin)
    if not origin.is_dir():
        return  # a server's own process outlives ours, and removes its locks
    folder = Path(git(origin, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    for ref in refs:
        left = folder / f"{ref}.lock"
        if left.exists():
            logger.warning("%s was left by a killed push: removed", left)
            left.unlink(missing_ok=True)


def _tagged(workspace: Workspace, tag: str) -> str:
    return git(workspace.path, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}", check=False)


def catch_up(workspace: Workspace) -> None:
    """Take over what other hosts have pushed to this run's branch (a run on several hosts only)."""
    with workspace.clone.locked() as held, workspace.locked(), workspace.dvc_locked():
        git(workspace.path, "fetch", "--quiet", "origin", _refspec(workspace), keep=[held])
        git(workspace.path, "reset", "--quiet", "--hard", f"refs/remotes/origin/{workspace.branch}", keep=[held])
    workspace.checkout()


def _refspec(workspace: Workspace) -> str:
    return f"+refs/heads/{workspace.branch}:refs/remotes/origin/{workspace.branch}"


def share(workspace: Workspace, *, stage: str | None = None, log: logging.Logger | Any) -> str:
    """Push a stage's data and the run's branch for other hosts; where another was first, put this commit on top."""
    if stage is not None:
        workspace.run([workspace.dvc, "--cd", str(workspace.path), "--wait-for-lock", "push", "--run-cache", stage])
    for attempt in range(TRIES):
        try:
            with workspace.clone.locked() as held:
                refs = f"refs/heads/{workspace.branch}:refs/heads/{workspace.branch}"
                git(workspace.path, "push", "--quiet", "origin", refs, keep=[held])
            return workspace.head
        except WorkspaceError as error:
            if stage is None or not any(word in str(error) for word in ("rejected", "fetch first", "non-fast-forward")):
                raise
            log.info("another host was first (try %d): this stage is put on top of it", attempt + 1)
            _put_on_top(workspace, stage)
            time.sleep(0.2 * attempt)
    raise WorkspaceError(f"{workspace.branch} could not be pushed in {TRIES} tries: too many hosts at once")


def _put_on_top(workspace: Workspace, stage: str) -> None:
    """Start again from the remote branch and let the run cache put the stage's result there: no merge of lock files."""
    catch_up(workspace)
    workspace.run(
        [workspace.dvc, "--cd", str(workspace.path), "--wait-for-lock", "repro", "--single-item", "--pull", stage]
    )
    file = lockfile.address(stage)[0]
    workspace.commit(f"{stage}: on top of another host's", [file, *workspace.stages[stage]["git_outs"]])
