"""This repository under a real Airflow, from a trigger through the REST API to its first champion."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from airflow_local import Airflow, running
from light_repository import ROOT, TOOLS, free_port, git, plain
from orchestration.process import marked

pytestmark = [
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.enable_socket,
    pytest.mark.timeout(1800),  # two minutes of work; a busy machine is slow, and nothing here waits for a clock
]


def test_this_repository_from_trigger_to_its_first_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (TOOLS / "dvc").exists():
        pytest.skip("the pipeline environment is not there: make setup")
    subprocess.run([TOOLS / "python", ROOT / "tests" / "dags" / "small_checkout.py", tmp_path], check=True, env=plain())
    root, home = tmp_path / "checkout", tmp_path / "home"
    own = {"HOME": home, "MODELS": tmp_path / "models", "TOOLS": TOOLS, "ORIGIN": root}
    for name, value in own.items():
        monkeypatch.setenv(f"PERENNIAL_{name}", str(value))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # two stages at once on two cores
    asked = {"start": "2025-01-06", "end": "2025-07-07", "reason": "the first model"}
    asked |= {"overrides": {"baseline.linear.strengths": [2.0], "baseline.linear.vectors": [False]}}
    with running(Airflow(tmp_path / "airflow", port=free_port(), database=None, prefix="PERENNIAL", root=root)) as up:
        client = up.client()
        client.dags({"retrain", "rollback", "score", "drift_watch"})
        run = client.trigger("retrain", asked)
        assert client.wait("retrain", run, seconds=1500) == "success", client.why("retrain", run)
        states = client.states("retrain", run)
        stages = {stage["name"] for stage in json.loads((root / "dags" / "graph.json").read_text())["stages"]}
        assert set(states) == stages | {"prepare", "approve", "release", "record", "cleanup", "outcome"}
        assert set(states.values()) == {"success"}
        (event,) = client.call("GET", "/api/v2/assets/events?limit=10")["asset_events"]
    assert (event["name"], event["extra"]["version"]) == ("champion", 1)
    tag = event["extra"]["tag"]
    assert event["extra"]["revision"] == git(root, "rev-parse", f"refs/tags/{tag}^{{commit}}")
    assert stages == set(yaml.safe_load(git(root, "show", f"refs/tags/{tag}:dvc.lock"))["stages"]), (
        "every stage is recorded"
    )
    history = [TOOLS / "python", "-m", "pipelines", "history", "--json"]
    answer = subprocess.run(history, check=True, cwd=root, env=plain(PERENNIAL_HOME=str(home)), stdout=subprocess.PIPE)
    assert [(line["action"], line["from"], line["to"]) for line in json.loads(answer.stdout)] == [("release", None, 1)]
    assert not marked(f"{home}#", prefix=True), "nothing is left behind"
