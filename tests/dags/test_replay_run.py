"""`make replay`: a recorded run is run again from its inputs elsewhere, and every digest is compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from flow import Flow
from light_repository import ROOT, git

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def replayed(light, tag: str, *more: str) -> str:
    """What the command prints, ended with its exit code."""
    script = (
        'import subprocess, sys; done = subprocess.run([sys.executable, *sys.argv[1:]]); print("EXIT", done.returncode)'
    )
    words = [f"--tag={tag}", f"--remote={light.home / 'dvc-remote'}", f"--origin={light.origin}", *more]
    return light.tool("python", "-c", script, str(ROOT / "scripts" / "replay_run.py"), *words)


def test_a_run_is_replayed_and_a_digest_that_differs_is_named(light, project, tmp_path: Path) -> None:
    tag = Flow(project, "recorded", {"overrides": {"ingest.rows": 12}}).do_all()["tag"]
    lock = git(light.origin, "show", f"{tag}:dvc.lock")
    printed = replayed(light, tag)
    assert "digests of" in printed and "are the same" in printed and "EXIT 0" in printed, printed
    assert "Running stage 'ingest'" in printed and "Running stage 'merge'" in printed, "nothing came from a cache"
    part = replayed(light, tag, "--first=merge")
    assert "Running stage 'merge'" in part and "Running stage 'ingest'" not in part and "EXIT 0" in part, part

    clone = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", str(light.origin), str(clone))
    git(clone, "checkout", "--quiet", tag)
    digest = next(line.split()[-1] for line in lock[lock.index("data/merge/model") :].splitlines() if "md5:" in line)
    (clone / "dvc.lock").write_text(lock.replace(digest, "0" * 32 + digest[32:]))
    for words in (["add", "dvc.lock"], ["-c", "user.name=t", "-c", "user.email=t", "commit", "--quiet", "-m", "x"]):
        git(clone, *words)
    git(clone, "tag", "runs/other")
    git(clone, "push", "--quiet", "origin", "runs/other")
    printed = replayed(light, "runs/other")
    assert "writes data/merge/model: recorded 000000000000" in printed and "another processor" in printed
    assert "EXIT 1" in printed
    printed = replayed(light, "runs/none")
    assert f"invalid TAG = 'runs/none': expected a tag of {light.origin}" in printed and "EXIT 64" in printed
