"""Garbage collection: what nothing refers to is removed, what a present or past champion needs never is."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from flow import Flow
from light_repository import LightRepository, git
from orchestration.clone import Clone
from orchestration.collect import collect, expired
from orchestration.workspace import Workspace, slug

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OLD = "2020-01-01T00:00:00+00:00"


def recorded_runs(light: LightRepository, folder: Path, *, count: int, size: int, released: set[int]) -> dict[int, str]:
    """Old runs at the origin as `record` leaves them, each with data of its own in the remote; the digest of each."""
    git(folder.parent, "clone", "--quiet", str(light.origin), str(folder))
    for name, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
        git(folder, "config", name, value)
    found = {}
    os.environ["GIT_COMMITTER_DATE"] = OLD
    try:
        for number in range(count):
            git(folder, "checkout", "--quiet", "-B", f"runs/old-{number}", "origin/main")
            found[number] = stored_by_hand(light, os.urandom(size), folder / "model.bin.dvc")
            git(folder, "add", "--force", "model.bin.dvc")
            git(folder, "commit", "--quiet", "--message", f"run {number}")
            git(folder, "tag", f"runs/old-{number}")
            refs = [f"refs/heads/runs/old-{number}", f"refs/tags/runs/old-{number}"]
            if number in released:
                git(folder, "tag", f"released/old-{number}")
                refs.append(f"refs/tags/released/old-{number}")
            git(folder, "push", "--quiet", "origin", *refs)
    finally:
        del os.environ["GIT_COMMITTER_DATE"]
    return found


def stored_by_hand(light: LightRepository, content: bytes, file: Path) -> str:
    """What `dvc add` and `dvc push` leave of one file, without starting DVC a hundred times; its digest."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for store in ("dvc-cache", "dvc-remote"):
        path = light.home / store / "files" / "md5" / digest[:2] / digest[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o444)
    file.write_text(f"outs:\n- md5: {digest}\n  size: {len(content)}\n  hash: md5\n  path: model.bin\n")
    return digest


def stored(light: LightRepository, digest: str) -> bool:
    """Whether the remote holds the object."""
    return (light.home / "dvc-remote" / "files" / "md5" / digest[:2] / digest[2:]).exists()


def check_collection(
    light: LightRepository, project, tmp_path: Path, *, count: int, size: int, released: set[int]
) -> None:
    flow = Flow(project, "present")
    tag = flow.do_all()["tag"]
    waiting = Flow(project, "waiting")
    waiting.do(waiting.prepare)
    waiting.do(waiting.stages["ingest"])
    digests = recorded_runs(light, tmp_path / "old", count=count, size=size, released=released)
    listed = collect(project, keep_days=30, dry_run=True, checkouts=[light.origin])
    assert all(stored(light, digest) for digest in digests.values()), "a dry run removes nothing"
    assert len([line for line in listed if line.startswith("refs/")]) == 2 * (count - len(released))
    collect(project, keep_days=30, dry_run=False, checkouts=[light.origin])
    assert {number for number, digest in digests.items() if stored(light, digest)} == released
    left = light.tags()
    assert {f"released/old-{number}" for number in released} <= set(left)
    assert {tag, f"released/{slug('present', 'flow')}.1"} <= set(left)
    assert len([name for name in left if name.startswith("runs/old")]) == len(released)
    for name in [tag, *(f"released/old-{number}" for number in released)]:
        folder = tmp_path / f"check-{name.replace('/', '-')}"
        git(tmp_path, "clone", "--quiet", str(light.origin), str(folder))
        git(folder, "checkout", "--quiet", name)
        light.tool("dvc", "remote", "add", "--local", "--default", "r", str(light.home / "dvc-remote"), folder=folder)
        light.tool("dvc", "pull", "--quiet", *(["model.bin.dvc"] if "old" in name else []), folder=folder)
    assert waiting.do(waiting.stages["gate"])["outcome"] == "changed", "a run under way is not disturbed"
    waiting.do_stages()
    waiting.do(waiting.release)
    waiting.do(waiting.record)


def test_old_runs_go_and_champions_stay(light, project, tmp_path: Path) -> None:
    check_collection(light, project, tmp_path, count=4, size=1000, released={1})


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_gigabytes_and_a_hundred_runs(light, project, tmp_path: Path) -> None:
    check_collection(light, project, tmp_path, count=100, size=20 * 2**20, released={0, 50, 99})


def test_a_failed_runs_workspace_goes_when_its_time_is_up_and_comes_back_when_asked_for(light, project) -> None:
    flow = Flow(project, "failed", {"overrides": {"ingest.rows": 5}})
    flow.do(flow.prepare)
    flow.do(flow.stages["ingest"])
    flow.do(flow.cleanup)
    workspace = Workspace(project, "failed", dag_id="flow")
    assert workspace.tree.exists
    assert expired(project, days=7) == []
    past = time.time() - 8 * 86400
    for path in (workspace.path, workspace.path / "dvc.lock", workspace.path / ".dvc" / "tmp", workspace.tasks):
        os.utime(path, (past, past))
    assert expired(project, days=7) == [workspace.slug]
    other = Flow(project, "other")
    other.do(other.prepare)
    other.do(other.cleanup)
    assert not workspace.path.exists()
    assert not workspace.tasks.exists()
    flow.do(flow.stages["split@en"])
    assert workspace.tree.exists
    assert Clone(project).path.is_dir()
    assert "rows: 5" in (workspace.path / "params.yaml").read_text()
