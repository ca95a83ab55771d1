"""The whole loop under a real scheduler: inputs drift, one retraining follows, a bad model is rolled back."""

from __future__ import annotations

import json
import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest
from airflow_local import running
from light_repository import TOOLS, plain
from test_watched import Watch, World

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.enable_socket,
    pytest.mark.timeout(7200),  # ten minutes of work; a busy machine is slow, and nothing here waits for a clock
]
LIVE, MOVED, BREACH = date(2025, 7, 7), date(2025, 7, 28), date(2025, 8, 11)  # of `watched/scenario.py`
WEEK = timedelta(days=7)


def test_drift_one_retraining_clear_again_and_a_bad_model_goes_back(tmp_path: Path, monkeypatch) -> None:
    world = World(tmp_path, steps="scenario.py")
    world.step("make")
    assert aliases(world) == {"champion": 1}
    with running(world.airflow(monkeypatch, store=None)) as airflow:
        client = airflow.client()
        client.dags({"drift_watch", "retrain", "score", "rollback"})
        watch = Watch(world, client)

        def run(dag: str, **asked: str) -> None:
            started = client.trigger(dag, asked)
            assert client.wait(dag, started, seconds=3000) == "success", client.states(dag, started)

        run("score", start=LIVE.isoformat(), end=BREACH.isoformat())
        quiet, _ = watch.week(MOVED, version=1)
        assert (quiet["action"], quiet["outcome"]) == ("nothing", "steady"), quiet["reason"]
        first, _ = watch.week(MOVED + WEEK, version=1)
        assert (first["action"], first["branch"]) == ("nothing", "alert"), first["reason"]
        second, _ = watch.week(BREACH, version=1)
        assert (second["action"], second["since"]) == ("retrain", MOVED.isoformat()), second["reason"]
        (retrained,) = watch.trained()  # it runs while the next check is made
        run("score", start=BREACH.isoformat(), end=(BREACH + timedelta(days=1)).isoformat())
        again, _ = watch.week(BREACH + timedelta(days=1), version=1, model_version=1)
        assert (again["action"], again["branch"]) == ("nothing", "done"), again["reason"]
        assert retrained["dag_run_id"] == f"drift__{second['key']}"
        assert client.wait("retrain", retrained["dag_run_id"], seconds=3000) == "success", client.states(
            "retrain", retrained["dag_run_id"]
        )
        assert aliases(world) == {"champion": 2, "previous": 1}, "a new champion within two cycles of the breach"

        run("score", start=BREACH.isoformat(), end=(BREACH + 2 * WEEK).isoformat())
        for weeks in (1, 2):
            clear, _ = watch.week(BREACH + weeks * WEEK, version=2)
            assert clear["action"] == "nothing" and clear["outcome"] in ("steady", "alert"), clear["reason"]
            verdict = json.loads((world.live / "drift" / clear["verdict"] / "verdict.json").read_text())
            assert verdict["breaches"] == [] and verdict["reference"]["end"] == BREACH.isoformat()
            assert verdict["reference"]["moved_since"] == MOVED.isoformat()
        assert len(watch.trained()) == 1, "one cause, one retraining"

        world.step("faulty")
        assert aliases(world)["champion"] == 3
        run("rollback", reason="its answers are wrong")
    assert aliases(world)["champion"] == 2
    moves = [(line["action"], line["from"], line["to"]) for line in history(world)]
    assert moves[:2] == [("release", None, 1), ("release", 1, 2)] and moves[-1] == ("rollback", 3, 2)
    assert history(world)[-1]["why"] == "its answers are wrong"


def history(world: World) -> list[dict]:
    """Lines of the champion's history, their chain checked."""
    command = [TOOLS / "python", "-m", "pipelines", "history", "--json"]
    answer = subprocess.run(command, check=True, cwd=world.root, env=_own(world), stdout=subprocess.PIPE)
    return json.loads(answer.stdout)


def aliases(world: World) -> dict[str, int]:
    """Where the registry's aliases point."""
    asked = (
        "import json; from pipelines.runtime.project import Project; "
        "from pipelines.live.release.registry import Registry; "
        "found = Registry.open(Project.open()); names = ('champion', 'challenger', 'previous'); "
        "print(json.dumps({name: found.alias(name) for name in names if found.alias(name)}))"
    )
    answer = subprocess.run(
        [TOOLS / "python", "-c", asked], check=True, cwd=world.root, env=_own(world), stdout=subprocess.PIPE
    )
    return json.loads(answer.stdout)


def _own(world: World) -> dict[str, str]:
    return plain(PERENNIAL_HOME=str(world.home))
