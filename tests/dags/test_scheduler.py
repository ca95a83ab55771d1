"""A real Airflow on SQLite with LocalExecutor, used through its REST API as a client would."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from airflow_local import Airflow, Client, main, running
from conftest import copy_of
from light_repository import LightRepository, free_port, git
from orchestration.process import marked
from orchestration.workspace import slug
from receiver import receiving

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.enable_socket, pytest.mark.timeout(1800)]

HOSTILE = "Büro & c# samples, 50% done/what? [x] 名前's k=v $UNSET"  # the project lies below a folder of such a name
QUICK = {
    "LIGHT_AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "LIGHT_AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "LIGHT_AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "1",
    "LIGHT_AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "LIGHT_AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "LIGHT_AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
}


def start(light: LightRepository, monkeypatch: pytest.MonkeyPatch, *, database: str | None = None) -> Airflow:
    """An Airflow for the light repository; nothing is started yet."""
    for name, value in {**light.environment, **QUICK}.items():
        if name.startswith("LIGHT_"):
            monkeypatch.setenv(name, value)
    return Airflow(light.airflow, port=free_port(), database=database, prefix="LIGHT", root=light.origin)


@pytest.fixture(scope="module")
def up(_templates: LightRepository, tmp_path_factory: pytest.TempPathFactory):
    """One running Airflow for the tests of this module that do not kill it."""
    light = copy_of(_templates, tmp_path_factory.mktemp("scheduler") / HOSTILE / "light")
    with pytest.MonkeyPatch.context() as patch, receiving() as light.receiver:
        patch.setenv("LIGHT_ALERT_ADDRESS", light.receiver.address)
        with running(start(light, patch)) as airflow:
            client = airflow.client()
            client.dags({"light", "light_rollback"})
            yield light, airflow, client
    assert not marked(f"{light.home}#", prefix=True), "nothing is left behind"


def test_a_second_airflow_is_refused(light, tmp_path: Path) -> None:
    def airflow(home: Path, port: int) -> Airflow:
        return Airflow(home, port=port, database=None, prefix="LIGHT", root=light.origin)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f"port {port}: Address already in use"):
            with airflow(tmp_path / "other", port).claimed():
                pass
    with airflow(light.airflow, port).claimed():
        with pytest.raises(SystemExit, match="already running from"):
            with airflow(light.airflow, free_port()).claimed():
                pass


@pytest.mark.parametrize("text", ["0", "65536", "http"])
def test_an_invalid_port_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(SystemExit, match=rf"^invalid PORT = '{text}': expected an integer from 1 to 65535$"):
        main([f"--port={text}"])


def test_from_trigger_to_a_promoted_champion_and_back(up) -> None:
    light, _, client = up
    run = client.trigger("light", {"overrides": {"ingest.rows": 30}, "reason": "first"})
    assert client.wait("light", run, seconds=300) == "success", client.why("light", run)
    assert set(client.states("light", run).values()) == {"success"}
    assert light.registry()["champion"] == 1
    events = client.call("GET", "/api/v2/assets/events?limit=10")["asset_events"]
    assert [(event["name"], event["extra"]["version"]) for event in events] == [("light-champion", 1)]
    assert events[0]["extra"]["tag"] in light.tags()
    second = client.trigger("light", {"approval": True, "overrides": {"ingest.rows": 31}, "reason": "please check"})
    _answer(up, second, "Approve")
    assert client.wait("light", second, seconds=300) == "success"
    assert light.registry()["champion"] == 2
    back = client.trigger("light_rollback", {"reason": "worse; $(touch owned)"})
    assert client.wait("light_rollback", back, seconds=300) == "success"
    assert (light.registry()["champion"], light.registry()["reason"]) == (1, "worse; $(touch owned)")


def test_a_closed_gate_is_red_without_a_retry_and_names_the_owner(up) -> None:
    light, _, client = up
    before = light.registry()["champion"] if (light.home / "registry" / "registry.json").exists() else None
    run = client.trigger("light", {"overrides": {"ingest.rows": 5}})
    assert client.wait("light", run, seconds=300) == "failed"
    states = client.states("light", run)
    assert (states["gate"], states["merge"], states["record"]) == ("failed", "upstream_failed", "upstream_failed")
    assert (states["cleanup"], states["outcome"]) == ("success", "failed")
    task = client.call("GET", f"/api/v2/dags/light/dagRuns/{run}/taskInstances/gate")
    assert task["try_number"] == 1
    shown = client.call("GET", f"/api/v2/dags/light/dagRuns/{run}/taskInstances/gate/xcomEntries/gate")["value"]
    assert shown["checks"][0]["name"] == "enough_rows"
    assert len(shown["shown_records"]) == 3
    links = client.call("GET", f"/api/v2/dags/light/dagRuns/{run}/taskInstances/gate/links")["extra_links"]
    assert links["Verdict"].endswith("/tasks/gate/xcom")
    alerts = [json.loads(line) for line in (light.home / "alerts.jsonl").read_text().splitlines()]
    assert any(alert["owner"] == "somebody@example.com" and alert["task_id"] == "gate" for alert in alerts)
    now = light.registry()["champion"] if (light.home / "registry" / "registry.json").exists() else None
    assert now == before


def test_a_person_may_reject_a_release(up) -> None:
    light, _, client = up
    before = _versions(light)
    run = client.trigger("light", {"approval": True, "overrides": {"ingest.rows": 46}, "reason": "please check"})
    _answer(up, run, "Reject")
    assert client.wait("light", run, seconds=120) == "failed", "a run's state is what happened"
    states = client.states("light", run)
    assert (states["release"], states["record"]) == ("skipped", "success"), "a rejected run is recorded too"
    assert states["outcome"] == "failed"
    assert _versions(light) == before


def test_a_run_that_a_person_marks_as_failed_is_a_failure(up) -> None:
    _, _, client = up
    run = client.trigger("light", {"overrides": {"ingest.rows": 47, "pace": 3.0}})
    until = time.monotonic() + 120
    while client.states("light", run).get("ingest") != "running":
        assert time.monotonic() < until, client.states("light", run)
        time.sleep(0.2)
    client.call("PATCH", f"/api/v2/dags/light/dagRuns/{run}", {"state": "failed"})
    assert client.wait("light", run, seconds=120) == "failed", client.states("light", run)
    assert client.states("light", run)["cleanup"] == "success"


def test_a_retraining_is_triggered_and_confirmed_unless_its_dag_is_paused(up) -> None:
    _, _, client = up
    client.call("PATCH", "/api/v2/dags/light_rollback", {"is_paused": True})
    run = client.trigger("light_watch", {"key": "paused"})
    assert client.wait("light_watch", run, seconds=300) == "failed"
    states = client.states("light_watch", run)
    assert (states["trigger_retrain"], states["confirm"]) == ("failed", "upstream_failed")
    assert client.call("GET", "/api/v2/dags/light_rollback/dagRuns?run_id_pattern=drift__paused")["dag_runs"] == []
    client.call("PATCH", "/api/v2/dags/light_rollback", {"is_paused": False})
    run = client.trigger("light_watch", {"key": "active"})
    assert client.wait("light_watch", run, seconds=300) == "success", client.why("light_watch", run)
    assert client.call("GET", "/api/v2/dags/light_rollback/dagRuns/drift__active")["state"] != "failed"


def outcomes(light: LightRepository) -> dict[str, dict]:
    """What was reported of each run, the last report by run id."""
    lines = (light.home / "outcomes.jsonl").read_text().splitlines()
    return {line["run_id"]: line for line in map(json.loads, lines)}


def test_a_triggered_run_reports_how_it_ended_and_a_lost_one_is_found(up) -> None:
    light, _, client = up
    for key, rows in (("good", 41), ("bad", 5)):
        conf = {"key": key, "overrides": {"ingest.rows": rows}}
        client.trigger("light", conf, run_id=f"drift__{key}")
    assert client.wait("light", "drift__good", seconds=300) == "success", client.why("light", "drift__good")
    assert client.wait("light", "drift__bad", seconds=300) == "failed"
    found = outcomes(light)
    good, bad = found["drift__good"], found["drift__bad"]
    assert (good["outcome"], good["key"], good["model_version"]) == ("released", "good", str(_versions(light)))
    assert (bad["outcome"], bad["model_version"]) == ("failed", None) and "gate" in bad["why"]
    assert float(good["minutes"]) > 0
    client.trigger("light_rollback", {"reason": "none"}, run_id="drift__marked")
    client.call("PATCH", "/api/v2/dags/light_rollback/dagRuns/drift__marked", {"state": "failed"})
    now = datetime.now(UTC).isoformat()
    lost = [{"key": key, "run_id": f"drift__{key}", "at": now} for key in ("deleted", "marked")]
    run = client.trigger("light_watch", {"key": "looking", "open": lost})
    assert client.wait("light_watch", run, seconds=300) == "success", client.why("light_watch", run)
    found = outcomes(light)
    assert {found[f"drift__{key}"]["outcome"] for key in ("deleted", "marked")} == {"failed"}
    assert all(found[f"drift__{key}"]["check"] for key in ("deleted", "marked"))
    alerts = [json.loads(line) for line in (light.home / "alerts.jsonl").read_text().splitlines()]
    assert {line["run_id"] for line in alerts if line.get("kind") == "page"} >= {"drift__deleted", "drift__marked"}


def test_a_receiver_is_notified_of_gates_failures_drift_approvals_moves_canaries_and_deadlines(up) -> None:
    light, _, client = up
    late = [client.trigger("light_late", {}) for _ in range(2)]
    gate = client.trigger("light", {"overrides": {"ingest.rows": 5}})
    asked = client.trigger("light", {"approval": True, "overrides": {"ingest.rows": 48}, "reason": "please check"})
    watch = client.trigger("light_watch", {"key": "notified"})
    assert client.wait("light_watch", watch, seconds=300) == "success", client.why("light_watch", watch)
    first = client.trigger("light_notices", {})
    assert client.wait("light_notices", first, seconds=300) == "success", client.why("light_notices", first)
    move = {"model": "m", "action": "rollback", "from": 2, "to": 1, "who": "ana", "why": "wrong", "when": "2026-01-01"}
    (light.home / "history.jsonl").write_text(json.dumps(move | {"when": datetime.now(UTC).isoformat()}) + "\n")
    stopped = {"model": "m", "version": 2, "why": "worse on 40 labels"}
    (light.home / "canaries.jsonl").write_text(json.dumps(stopped) + "\n")
    client.call("PATCH", "/api/v2/dags/light_rollback", {"is_paused": True})
    second = client.trigger("light_notices", {})
    assert client.wait("light_notices", second, seconds=300) == "success", client.why("light_notices", second)
    client.call("PATCH", "/api/v2/dags/light_rollback", {"is_paused": False})
    received = light.receiver.wait_for
    assert "record: " in received(gate, kind="gate closed")["message"], "whole, not the first line"
    assert "waits for an approval: answer on http" in received(asked, kind="approval")["message"]
    assert "it drifted" in received("it drifted", kind="retrain")["message"]
    assert "champion 2 -> 1 by ana: wrong" in received("rollback", kind="rollback")["message"]
    assert "worse on 40 labels" in received("canary", kind="canary")["message"]
    assert received("light_rollback is paused", kind="page")
    assert received("has not ended", kind="late") and received("has been queued", kind="late")
    _answer(up, asked, "Reject")
    assert client.wait("light", asked, seconds=120) == "failed"
    assert received("rejected by", kind="failed")
    for run in late:
        assert client.wait("light_late", run, seconds=120) == "success"


def _answer(up, run: str, answer: str) -> None:
    """Wait until the run asks a person, look at what it shows, and answer."""
    _, airflow, client = up
    path = f"/api/v2/dags/light/dagRuns/{run}/taskInstances/approve/-1/hitlDetails"
    # A person takes longer to read than the scheduler to hear from its worker that the task now waits.
    heard = f"state success for task instance TaskInstanceKey(dag_id='light', task_id='approve', run_id='{run}'"
    until = time.monotonic() + 300
    while heard not in (airflow.logs / "scheduler.log").read_text():
        assert time.monotonic() < until, client.why("light", run)
        time.sleep(0.2)
    assert client.states("light", run)["approve"] == "awaiting_input"
    shown = client.call("GET", path)["body"]
    assert "please check" in shown
    assert "| gate | open | 1 | 1 passed |" in shown
    assert "| enough_rows | " in shown
    client.call("PATCH", path, {"chosen_options": [answer], "params_input": {}})


def _versions(light: LightRepository) -> int:
    return len(light.registry()["versions"]) if (light.home / "registry" / "registry.json").exists() else 0


@pytest.mark.long
def test_a_backfill_of_a_month_is_a_run_a_week_and_releases_nothing(up) -> None:
    light, _, client = up
    before = json.dumps(light.registry()) if (light.home / "registry" / "registry.json").exists() else "none"
    month = {"from_date": "2025-03-02T00:00:00Z", "to_date": "2025-03-30T00:00:00Z"}
    made = client.call("POST", "/api/v2/backfills", {"dag_id": "light", "max_active_runs": 2, **month})
    until = time.monotonic() + 400
    while time.monotonic() < until:
        query = "/api/v2/dags/light/dagRuns?run_type=backfill&limit=20"
        runs = [run for run in client.call("GET", query)["dag_runs"] if run["run_type"] == "backfill"]
        if len(runs) >= 4 and all(run["state"] in {"success", "failed"} for run in runs):
            break
        time.sleep(1)
    assert made["dag_id"] == "light"
    assert sorted(run["data_interval_end"][:10] for run in runs) == [
        "2025-03-10",
        "2025-03-17",
        "2025-03-24",
        "2025-03-31",
    ]
    for run in runs:
        assert run["state"] == "success", client.why("light", run["dag_run_id"])
        assert client.states("light", run["dag_run_id"])["release"] == "skipped"
    now = json.dumps(light.registry()) if (light.home / "registry" / "registry.json").exists() else "none"
    assert now == before


@pytest.mark.long
def test_a_run_is_run_again_from_one_stage_on(up) -> None:
    light, _, client = up
    run = client.trigger("light", {"overrides": {"ingest.rows": 33}})
    assert client.wait("light", run, seconds=300) == "success"
    tag = next(
        line["extra"]["tag"]
        for line in client.call("GET", "/api/v2/assets/events?limit=50")["asset_events"]
        if line["source_run_id"] == run
    )
    assert not Path(light.home / "runs" / "work" / tag.removeprefix("runs/")).exists()
    body = {"dry_run": False, "dag_run_id": run, "task_ids": ["gate"], "include_downstream": True, "only_failed": False}
    cleared = {
        task["task_id"] for task in client.call("POST", "/api/v2/dags/light/clearTaskInstances", body)["task_instances"]
    }
    assert {"gate", "merge", "promote", "record"} <= cleared
    assert "ingest" not in cleared
    assert client.wait("light", run, seconds=300) == "success", client.why("light", run)
    assert client.states("light", run)["gate"] == "success"
    assert len([name for name in light.tags() if name.startswith(tag)]) == 1, (
        "nothing changed, so there is no second tag"
    )


def test_a_wrong_parameter_is_refused_by_the_api_or_by_prepare(up) -> None:
    _, _, client = up
    with pytest.raises(RuntimeError, match="ref"):
        client.trigger("light", {"ref": "$(touch owned)"})
    run = client.trigger("light", {"overrides": {"ingest.rowz": 1}})
    assert client.wait("light", run, seconds=120) == "failed"
    assert client.states("light", run)["prepare"] == "failed"
    assert client.states("light", run)["ingest"] in {"upstream_failed", None}


def test_a_run_keeps_its_dag_when_the_files_change(up) -> None:
    light, _, client = up
    run = client.trigger("light", {"overrides": {"ingest.rows": 50, "pace": 0.4}})
    while client.states("light", run).get("ingest") != "success":
        time.sleep(0.5)
    text = (light.origin / "dvc.yaml").read_text()
    (light.origin / "dvc.yaml").write_text(text.replace("  gate:\n", "  checked:\n"))
    light.graph()
    light.commit("another name for a stage")
    try:
        until = time.monotonic() + 300
        while time.monotonic() < until:  # the new DAG is seen while the old run goes on
            tasks = {task["task_id"] for task in client.call("GET", "/api/v2/dags/light/tasks")["tasks"]}
            if "checked" in tasks:
                break
            time.sleep(0.5)
        assert "checked" in tasks
        assert client.wait("light", run, seconds=300) == "success", client.why("light", run)
        assert client.states("light", run)["gate"] == "success"
    finally:
        git(light.origin, "revert", "--no-edit", "HEAD")


def _parent(pid: int) -> int:
    return psutil.Process(pid).ppid()


def _begin(light: LightRepository, client: Client, run: str) -> tuple[list[int], int]:
    """Start a run and wait until its first stage works: the processes of its command, and that of its task."""
    client.trigger("light", {"overrides": {"pace": 1.0, "ingest.seed": len(run)}}, run_id=run)
    mark = f"{light.home}#{slug(run, 'light')}/ingest"
    until = time.monotonic() + 300
    while time.monotonic() < until:
        if (commands := marked(mark)) and client.states("light", run).get("ingest") == "running":
            return commands, _parent(next(pid for pid in commands if _parent(pid) not in commands))
        time.sleep(0.05)
    raise TimeoutError(f"the first stage did not start: {client.states('light', run)}")


def assert_undisturbed(light: LightRepository, client: Client, run: str, folder: Path, *, versions: int) -> None:
    """The run ends well, and what it recorded is what an undisturbed `dvc repro` gives."""
    assert client.wait("light", run, seconds=300) == "success", client.why("light", run)
    assert light.registry()["champion"] == len(light.registry()["versions"]) == versions
    assert not marked(f"{light.home}#{slug(run, 'light')}", prefix=True)
    git(folder.parent, "clone", "--quiet", str(light.origin), str(folder))
    git(folder, "checkout", "--quiet", f"runs/{slug(run, 'light')}")
    expected = (folder / "dvc.lock").read_text()
    (folder / "dvc.lock").unlink()
    light.tool("dvc", "repro", folder=folder)
    assert (folder / "dvc.lock").read_text() == expected


@pytest.mark.chaos
# A killed task process is also a case of test_chaos.py, without the scheduler; the death of its supervisor is not.
@pytest.mark.parametrize("victim", [pytest.param("task", marks=pytest.mark.long), "supervisor"])
def test_killed_at_work_a_run_ends_as_if_undisturbed(up, tmp_path: Path, victim: str) -> None:
    light, _, client = up
    before = _versions(light)
    _, task = _begin(light, client, f"killed-{victim}")
    os.kill(task if victim == "task" else _parent(task), signal.SIGKILL)
    assert_undisturbed(light, client, f"killed-{victim}", tmp_path / "undisturbed", versions=before + 1)


@pytest.mark.chaos
@pytest.mark.long
@pytest.mark.parametrize("victim", ["scheduler", "everything"])
def test_killed_with_the_scheduler_a_run_ends_as_if_undisturbed(_templates, tmp_path, monkeypatch, victim) -> None:
    light = copy_of(_templates, tmp_path / "light")
    airflow = start(light, monkeypatch)
    with running(airflow):
        client = airflow.client()
        client.dags({"light"})
        commands, task = _begin(light, client, "killed")
        scheduler = airflow.processes["scheduler"]
        for pid in [scheduler.pid, *([_parent(task), task, *commands] if victim == "everything" else [])]:
            os.kill(pid, signal.SIGKILL)
        scheduler.wait()
        if victim == "everything":
            os.killpg(scheduler.pid, signal.SIGKILL)
        airflow.start("scheduler")
        assert_undisturbed(light, client, "killed", tmp_path / "undisturbed", versions=1)
