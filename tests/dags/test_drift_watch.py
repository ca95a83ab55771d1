"""drift_watch: one sensor per column, and a decision that is carried out once, no further than it goes."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pendulum
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DagRunTriggerException, TaskDeferred
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from orchestration.operators import CommandOperator
from watching import decided, runs, tasks

ROOT = Path(__file__).resolve().parents[2]
STEADY = {
    "outcome": "steady",
    "psi": 0.01,
    "median": 0.01,
    "excess": 0.0,
    "rank": 9,
    "p": 0.3,
    "since": None,
    "why": "",
}
DRIFTED = {**STEADY, "outcome": "breach", "psi": 0.4, "rank": 1, "since": "2026-03-02"}


@pytest.fixture(scope="module")
def watch():
    spec = importlib.util.spec_from_file_location("drift_watch_under_test", ROOT / "dags" / "drift_watch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Pulled:
    """A task instance whose XCom of `decide` is a decision."""

    def __init__(self, **decision) -> None:
        quiet = {"retrain": False, "rollback": False, "page": False, "alert": False, "action": "nothing", "key": None}
        self.decision = {**quiet, "reason": "it drifted {sic}", "request": None, **decision}

    is_paused, state = False, "running"  # of `retrain`, and of its run

    def get_dag(self, dag_id: str) -> Pulled:
        assert dag_id == "retrain"
        return self

    def get_dagrun_state(self, *, dag_id: str, run_id: str) -> str:
        assert (dag_id, run_id) == ("retrain", f"drift__{self.decision['key']}")
        return self.state

    def xcom_pull(self, *, task_ids: str):
        assert task_ids == "decide"
        return self.decision


def test_the_order_of_tasks(watch) -> None:
    dag = watch.prepare.dag
    below = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    assert below["measure"] >= {"psi_sensor"} and below["psi_sensor"] == {"decide"}
    assert below["trigger_retrain"] == {"confirm"}, "the cooldown is written after the trigger, never before"
    assert dag.max_active_runs == 1 and not dag.catchup


def test_a_column_that_drifted_succeeds_and_another_is_skipped(watch, tmp_path: Path) -> None:
    file = tmp_path / "verdict.json"
    file.write_text(json.dumps({"columns": {"state": STEADY, "amount": DRIFTED}}))
    sensor = tasks.PsiSensor(task_id="drifted", column="amount", path=str(file))
    assert sensor.execute({})["since"] == "2026-03-02"
    with pytest.raises(AirflowSkipException, match="state: steady"):
        tasks.PsiSensor(task_id="still", column="state", path=str(file)).execute({})


def test_without_a_verdict_the_sensor_waits_in_the_triggerer(watch, tmp_path: Path) -> None:
    sensor = tasks.PsiSensor(task_id="waits", column="state", path=str(tmp_path / "none.json"), timeout=60)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    path, _ = deferred.value.trigger.serialize()
    assert path == "orchestration.triggers.JsonFileTrigger"
    with pytest.raises(AirflowSkipException):
        sensor.complete({}, {"columns": {"state": STEADY}})


@pytest.mark.parametrize(
    "cron, due", [("0 5 * * *", datetime(2026, 3, 12, 5)), ("0 5 * * 1", datetime(2026, 3, 16, 5))]
)
def test_the_first_time_due_after_a_set_up_is_a_run(watch, monkeypatch: pytest.MonkeyPatch, cron, due) -> None:
    set_up = datetime(2026, 3, 11, 14)  # a Wednesday
    start = replace(watch.PROJECT, schedules_from=set_up).first_interval(cron)
    table = CronDataIntervalTimetable(cron, timezone="UTC")
    for now, runs_at in ((set_up, due), (due + timedelta(minutes=1), due)):
        monkeypatch.setattr("airflow.timetables.interval.utcnow", lambda now=now: pendulum.instance(now, tz="UTC"))
        found = table.next_dagrun_info(
            last_automated_data_interval=None,
            restriction=TimeRestriction(earliest=pendulum.instance(start), latest=None, catchup=False),
        )
        assert found.run_after == runs_at.replace(tzinfo=UTC), "never a time before the set-up, and not one week later"


@pytest.mark.parametrize("action", ["retrain", "rollback"])
def test_what_was_not_decided_is_not_done(watch, action: str) -> None:
    task = decided.DecidedOperator(task_id="a", project=watch.PROJECT, action=action, arguments=["x"])
    with pytest.raises(AirflowSkipException, match="the decision is nothing"):
        task.execute({"ti": Pulled()})
    trigger = tasks.TriggerRetrainOperator(task_id="b", trigger_dag_id="retrain")
    with pytest.raises(AirflowSkipException, match="the decision is page"):
        trigger.execute({"ti": Pulled(action="page", page=True)})


def test_the_run_is_named_by_its_cause(watch) -> None:
    trigger = tasks.TriggerRetrainOperator(task_id="c", trigger_dag_id="retrain")
    request = {"end": "2026-03-16", "key": "abc", "reason": "it drifted"}
    with pytest.raises(DagRunTriggerException) as asked:
        trigger.execute({"ti": Pulled(retrain=True, key="abc", request=request)})
    assert (asked.value.trigger_dag_id, asked.value.dag_run_id) == ("retrain", "drift__abc")
    assert asked.value.conf == request
    assert asked.value.skip_when_already_exists and not asked.value.reset_dag_run


def test_key_and_reason_reach_the_commands(watch, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(CommandOperator, "execute", lambda self, context: ran.append(self.arguments))
    asked = Pulled(retrain=True, rollback=True, key="abc", reason="{key} $(rm -rf /)")
    for name, action in (("confirm", "retrain"), ("rollback", "rollback")):
        arguments = watch.prepare.dag.get_task(name).arguments
        task = decided.DecidedOperator(task_id=name, project=watch.PROJECT, action=action, arguments=arguments)
        task.execute({"ti": asked})
    assert ran[0][-2:] == ["--key=abc", "--run-id=drift__abc"]
    assert ran[1][-1] == "--reason={key} $(rm -rf /)"  # one argument, whatever it contains


def test_nothing_is_triggered_or_confirmed_while_retrain_is_paused(watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CommandOperator, "execute", lambda self, context: pytest.fail("the cooldown has begun"))
    paused = Pulled(retrain=True, key="abc", request={})
    paused.is_paused, paused.state = True, "queued"
    trigger = tasks.TriggerRetrainOperator(task_id="paused", trigger_dag_id="retrain")
    confirm = runs.ConfirmOperator(task_id="c1", project=watch.PROJECT, trigger_dag_id="retrain", arguments=["x"])
    for task in (trigger, confirm):
        with pytest.raises(AirflowFailException, match="retrain is paused"):
            task.execute({"ti": paused})
    assert paused.decision["retrain"] and watch.confirm.on_failure_callback, "its owner is paged"


@pytest.mark.parametrize("state", ["queued", "running", "success", "failed"])
def test_a_run_that_airflow_has_is_confirmed_however_it_ended(watch, monkeypatch, state: str) -> None:
    """A run that failed at once must not be proposed under the same key for ever: its outcome is settled later."""
    ran: list[list[str]] = []
    monkeypatch.setattr(CommandOperator, "execute", lambda self, context: ran.append(self.arguments))
    task = runs.ConfirmOperator(task_id=f"c-{state}", project=watch.PROJECT, trigger_dag_id="retrain", arguments=["x"])
    triggered = Pulled(retrain=True, key="abc")
    triggered.state = state
    task.execute({"ti": triggered})
    assert ran


@pytest.mark.parametrize("kind", ["alert", "page"])
def test_the_owner_is_notified(watch, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    sent: list[dict] = []
    monkeypatch.setattr(tasks, "send", lambda project, **alert: sent.append(alert) or alert)
    decision = {
        "alert": False,
        "page": False,
        "reason": "the feed is broken",
        "verdict": "v",
        "action": kind,
        kind: True,
    }
    task = tasks.NotifyOperator(task_id="notify", project=watch.PROJECT)
    task.execute({"ti": Pulled(**decision)})
    assert sent[0]["message"] == f"drift: {kind}: the feed is broken"
    with pytest.raises(AirflowSkipException):
        task.execute({"ti": Pulled(**{**decision, kind: False})})
