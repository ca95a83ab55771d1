"""`make loop` as a user runs it: the whole scenario, offline, in its own state root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MINUTES = 60  # two idle cores need a quarter of this


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(MINUTES * 60)
def test_the_loop_closes(tmp_path):
    home = tmp_path / "home"
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, check=True, capture_output=True).stdout
    environment = {
        **os.environ,
        "PERENNIAL_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HTTPS_PROXY": "http://127.0.0.1:9",  # network access is refused
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "loop"],
        cwd=ROOT,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:]

    result = json.loads((home / "loop" / "loop.json").read_text())
    assert result["passed"]
    assert all(claim["held"] for claim in result["claims"])
    names = [event["name"] for event in result["events"]]
    order = [
        "first champion",
        "alert",
        "breach",
        "retraining",
        "decided again",
        "challenger",
        "canary completed",
        "bad challenger",
        "canary stopped",
        "operator's mistake",
        "rolled back",
    ]
    assert [names.index(name) for name in order] == sorted(names.index(name) for name in order)
    assert names.count("retraining") == 1
    assert (home / "loop" / "timeline.svg").stat().st_size > 1000
    assert not (home / "history.jsonl").exists()  # the user's own state was not touched
    assert subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, check=True, capture_output=True).stdout == status
