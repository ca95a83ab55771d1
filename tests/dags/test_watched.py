"""drift_watch under a real scheduler: five faults cause five right actions, and 200 breaches cause one retraining."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import airflow_local
import pytest
from airflow_local import Airflow, Client, running
from light_repository import ROOT, TOOLS, free_port, git, plain
from test_postgres import database  # noqa: F401  a fixture

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.enable_socket,
    pytest.mark.timeout(5400),  # minutes of work; a busy machine is slow, and nothing here waits for a clock
]
RUN_S = 1500
# On a busy machine a task that only waits for its turn must not count as dead, nor an API that answers late as broken.
PATIENT = {
    "PERENNIAL_AIRFLOW__CORE__PARALLELISM": "4",
    "PERENNIAL_AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "20",
    "PERENNIAL_AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "40",
    "PERENNIAL_AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "PERENNIAL_AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "PERENNIAL_AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
    "PERENNIAL_AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
    "PERENNIAL_AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
}
NEXT, OVER = date(2025, 10, 6), date(2025, 12, 8)  # days of `watched/world.py`


class World:
    """A watched repository and its state root in a folder; see `watched/world.py`."""

    def __init__(self, folder: Path, *, steps: str = "world.py") -> None:
        self.steps = ROOT / "tests" / "dags" / "watched" / steps
        if not (TOOLS / "dvc").exists():
            pytest.skip("the pipeline environment is not there: make setup")
        self.folder, self.root, self.home = folder, folder / "checkout", folder / "home"

    def step(self, *words: str) -> None:
        """Carry out a step of `watched/`."""
        command = [TOOLS / "python", self.steps, self.folder, *words]
        done = subprocess.run(command, env=plain(), cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-4000:]

    def airflow(self, monkeypatch: pytest.MonkeyPatch, *, store: str | None) -> Airflow:
        """An Airflow over it; nothing is started yet."""
        own = {"HOME": self.home, "TOOLS": TOOLS, "ORIGIN": self.root, "MODELS": self.folder / "models"}
        for name, value in {f"PERENNIAL_{name}": str(value) for name, value in own.items()}.items():
            monkeypatch.setenv(name, value)
        for name, value in {**PATIENT, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}.items():
            monkeypatch.setenv(name, value)
        return Airflow(self.folder / "airflow", port=free_port(), database=store, prefix="PERENNIAL", root=self.root)

    @property
    def live(self) -> Path:
        """The live state of the domain's registered model."""
        return self.home / "live" / "perennial-complaints"

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Lines of a file of the live state."""
        return self.lines_of(self.live / name)

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that the owner was sent."""
        return self.lines_of(self.home / "alerts.jsonl")

    def lines_of(self, file: Path) -> list[dict[str, Any]]:
        """Lines of a file; none when it does not exist."""
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def decision(self, verdict: str) -> dict[str, Any]:
        """The one decision on a verdict."""
        (found,) = [
            line for line in self.lines("decisions.jsonl") if str(line.get("verdict")).startswith(f"{verdict}-")
        ]
        return found


class Watch:
    """drift_watch, run for one window after another."""

    def __init__(self, world: World, client: Client) -> None:
        self.world, self.client = world, client

    def week(self, end: date, *, version: int, **asked: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Watch the week before a day; the decision, and the state of each task (of a column by its name)."""
        run = self.client.trigger("drift_watch", {"end": end.isoformat(), **asked})
        outcome = self.client.wait("drift_watch", run, seconds=RUN_S)
        assert outcome == "success", self.client.states("drift_watch", run)
        path = f"/api/v2/dags/drift_watch/dagRuns/{run}/taskInstances?limit=100"
        states = {
            item["rendered_map_index"] or item["task_id"]: item["state"]
            for item in self.client.call("GET", path)["task_instances"]
        }
        return self.world.decision(f"{end}-v{version}"), states

    def trained(self) -> list[dict[str, Any]]:
        """The runs of `retrain`, oldest first."""
        found = self.client.call("GET", "/api/v2/dags/retrain/dagRuns?limit=100&order_by=run_after")["dag_runs"]
        return [run for run in found if run["run_type"] != "scheduled"]


def monday(day: date, weeks: int = 1) -> date:
    """The Monday so many weeks later."""
    return day + timedelta(weeks=weeks)


def test_five_faults_get_five_right_actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.step("make", "0")  # no cooldown: minutes take the place of the months between the fourth fault and the fifth
    with running(world.airflow(monkeypatch, store=None)) as airflow:
        client = airflow.client()
        client.dags({"drift_watch", "retrain"})
        watch = Watch(world, client)

        decision, states = watch.week(monday(date(2025, 7, 7)), version=1)
        assert (decision["action"], decision["branch"]) == ("nothing", "steady"), decision["reason"]
        assert (states["tell"], states["trigger_retrain"], states["confirm"]) == ("skipped",) * 3

        for week, sign, named in (
            (date(2025, 7, 21), "stale", "2025-07-24"),
            (date(2025, 8, 11), "missing_values", "state"),
            (date(2025, 9, 1), "units", "amount is 1"),
        ):
            decision, states = watch.week(monday(week), version=1)
            assert (decision["action"], decision["branch"]) == ("alert", "upstream"), decision["reason"]
            assert f"{sign}: " in decision["reason"] and named in decision["reason"]
            assert not decision["retrain"] and not decision["rollback"]
            assert (states["tell"], states["trigger_retrain"], states["confirm"]) == ("success", "skipped", "skipped")
            alert = world.alerts()[-1]
            assert alert["kind"] == "alert" and sign in alert["message"] and "@" in alert["owner"]
        assert watch.trained() == [], "a broken feed is never retrained on"

        decision, states = watch.week(date(2025, 9, 29), version=1)
        assert (decision["action"], decision["branch"]) == ("nothing", "alert"), decision["reason"]
        assert watch.trained() == [], "one week alone is no breach"
        decision, states = watch.week(date(2025, 10, 6), version=1)
        assert (decision["action"], decision["branch"]) == ("retrain", "breach"), decision["reason"]
        assert "company" in decision["columns"] and decision["since"] == "2025-09-22"
        assert states["company"] == "success", "the grid shows which column moved"
        assert "skipped" in {states[name] for name in ("state", "channel")}
        assert (states["rollback"], states["trigger_retrain"], states["confirm"]) == ("skipped", "success", "success")
        (run,) = watch.trained()
        assert run["dag_run_id"] == f"drift__{decision['key']}"
        assert {name: run["conf"][name] for name in ("end", "key")} == {"end": "2025-10-06", "key": decision["key"]}

        world.step("succeed")
        decision, states = watch.week(date(2025, 12, 8), version=2)
        assert decision["columns"] == ["labels"], (decision["outcome"], decision["reason"], states)
        assert (decision["action"], decision["branch"]) == ("retrain", "breach"), decision["reason"]
        assert (states["trigger_retrain"], states["confirm"]) == ("success", "success")
        assert [run["dag_run_id"] for run in watch.trained()][1:] == [f"drift__{decision['key']}"]
        runs = [run["dag_run_id"] for run in watch.trained()]
    assert [line["run_id"] for line in world.lines("decisions.jsonl") if line["kind"] == "confirmed"] == runs
    assert [f"drift__{line['key']}" for line in world.lines("budget.jsonl") if line["kind"] == "reserved"] == runs


EVENTS = {"columns": 25, "days": 8}  # of `watched/world.py` and `watched/storm.py`: 200 breaches
SECOND = "second-scheduler"


def until(true: Any, *, seconds: float = RUN_S) -> None:
    """Wait until something is true."""
    last = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < last, "it did not come about"
        time.sleep(2)


def restart(airflow: Airflow, name: str) -> None:
    """Kill a component as a crash does, and start it again."""
    os.killpg(airflow.processes[name].pid, signal.SIGKILL)
    airflow.processes[name].wait()
    airflow.start(name)


def end(airflow: Airflow, name: str) -> None:
    """End a component that `Airflow.stop` does not know."""
    if process := airflow.processes.pop(name, None):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.postgres
def test_two_hundred_breaches_are_one_retraining(tmp_path, monkeypatch, database: str) -> None:  # noqa: F811
    """Two schedulers on PostgreSQL; triggerer and a scheduler are killed in the middle and started again."""
    world = World(tmp_path)
    world.step("make", "14")
    world.step("storm")
    monkeypatch.setitem(
        airflow_local.COMPONENTS, SECOND, airflow_local.COMPONENTS["scheduler"]
    )  # started with the rest
    airflow = world.airflow(monkeypatch, store=database)
    with running(airflow):
        try:
            client = airflow.client()
            client.dags({"storm", "retrain", "drift_watch"})
            watch = Watch(world, client)
            _storm(world, airflow, client, watch)
            for name in ("scheduler", SECOND, "triggerer"):
                restart(airflow, name)
            until(airflow.healthy)
            assert len(watch.trained()) == 1
        finally:
            end(airflow, SECOND)


def _storm(world: World, airflow: Airflow, client: Client, watch: Watch) -> None:
    verdicts = sorted((world.folder / "verdicts").iterdir())
    go, runs = world.home / "go.json", []
    for folder in verdicts:
        conf = {"verdict": str(world.live / "drift" / folder.name / "verdict.json"), "breach": folder.name}
        runs.append(client.trigger("storm", conf | {"go": str(go)}, run_id=f"storm-{folder.name}"))

    def states(task: str) -> list[str]:
        path = f"/api/v2/dags/storm/dagRuns/~/taskInstances?task_id={task}&limit=100"
        pages = [client.call("GET", f"{path}&offset={offset}") for offset in (0, 100)]  # a page holds no more
        return [item["state"] for page in pages for item in page["task_instances"]]

    breaches = EVENTS["columns"] * EVENTS["days"]
    until(lambda: states("psi_sensor").count("deferred") == breaches)
    restart(airflow, "triggerer")  # while every sensor waits in it
    for folder in verdicts:
        shutil.copytree(folder, world.live / "drift" / folder.name)
    until(lambda: states("psi_sensor").count("success") >= breaches // 4)
    restart(airflow, "triggerer")  # and while it hands on what it saw
    until(lambda: states("go").count("deferred") == EVENTS["days"])
    go.write_text("{}")  # 200 columns ask at the same time
    until(lambda: len(watch.trained()) > 0)
    restart(airflow, "scheduler")
    for run in runs:
        assert client.wait("storm", run, seconds=RUN_S) == "success", client.states("storm", run)
    asked = states("trigger_retrain")
    assert len(asked) == breaches and asked.count("success") >= 1
    assert asked.count("success") + asked.count("skipped") == breaches
    (trained,) = watch.trained()
    decided = [line for line in world.lines("decisions.jsonl") if line["kind"] == "decision"]
    assert len(decided) == EVENTS["days"] and all(line["retrain"] for line in decided)
    assert {f"drift__{line['key']}" for line in decided} == {trained["dag_run_id"]}
    assert len([line for line in world.lines("decisions.jsonl") if line["kind"] == "confirmed"]) == 1
    assert len(world.lines("budget.jsonl")) == 1


def test_cooldown_and_budget_outlive_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are in files: a restarted component reads them."""
    world = World(tmp_path)
    world.step("make", "14")
    with running(world.airflow(monkeypatch, store=None)) as airflow:
        client = airflow.client()
        client.dags({"drift_watch", "retrain"})
        watch = Watch(world, client)
        first, _ = watch.week(NEXT, version=1)
        assert first["action"] == "retrain", first["reason"]
        for name in ("scheduler", "triggerer"):
            restart(airflow, name)
        until(airflow.healthy)
        decision, states = watch.week(NEXT + timedelta(days=1), version=1)
        assert (decision["action"], decision["branch"]) == ("nothing", "done"), decision["reason"]
        assert "answered already" in decision["reason"] and states["trigger_retrain"] == "skipped"

        world.step("succeed")
        decision, states = watch.week(OVER - timedelta(days=7), version=2)  # another cause, of another champion
        assert (decision["action"], decision["branch"]) == ("page", "cooldown"), decision["reason"]
        assert (states["tell"], states["trigger_retrain"]) == ("success", "skipped")

        world.step("limits", "0", "29")  # no cooldown, and less than two retrainings left for this month
        head = git(world.root, "rev-parse", "HEAD")
        until(lambda: client.call("GET", "/api/v2/dags/drift_watch")["bundle_version"] == head)
        restart(airflow, "scheduler")
        until(airflow.healthy)
        decision, states = watch.week(OVER, version=2)
        assert (decision["action"], decision["branch"]) == ("page", "budget"), decision["reason"]
        assert (states["tell"], states["trigger_retrain"]) == ("success", "skipped")
        assert [line["kind"] for line in world.alerts()[-2:]] == ["page", "page"]
        assert len(watch.trained()) == 1
