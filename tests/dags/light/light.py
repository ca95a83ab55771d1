"""# light

The training DAG of the light pipeline: the same package, other names.
"""

import time
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, task
from orchestration.alerts import deadlines, on_failure
from orchestration.graph import add_run, add_stage_tasks, read_graph, upstream_of
from orchestration.operators import (
    ApproveOperator,
    CleanupOperator,
    CommandOperator,
    PrepareOperator,
    RecordOperator,
    ReleaseOperator,
    Report,
)
from orchestration.project import Project
from orchestration.request import run_params
from watching.notices import NoticeOperator
from watching.runs import ConfirmOperator, SettleRunsOperator
from watching.tasks import NotifyOperator, TriggerRetrainOperator

PROJECT = Project.from_environment("LIGHT", root=Path(__file__).resolve().parents[1])
STAGES = read_graph(Path(__file__).with_name("graph.json"))
DECISION = ("data/promote/decision.json", "action", "release")
GATE = ["python", "project.py", "gate"]
DECIDED = {"action": "retrain", "page": False, "alert": False, "rollback": False, "verdict": "none"}
SETTLE = ["python", "project.py", "settle"]
REPORT = Report(SETTLE, decision=(*DECISION[:2], "refuse"))
ARGS = {"retries": 3, "retry_delay": timedelta(seconds=1), "on_failure_callback": on_failure(PROJECT)}

with DAG(
    "light",
    schedule=CronDataIntervalTimetable("0 0 * * 1", timezone="UTC"),
    start_date=PROJECT.schedules_from or datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=16,
    params=run_params(),
    default_args=ARGS,
    doc_md=__doc__,
):
    prepare = PrepareOperator(
        task_id="prepare",
        project=PROJECT,
        expected=upstream_of(STAGES),
        set_parameters=["python", "project.py", "set"],
        before_stages=[["python", "release.py", "pin", "{backfill}"]],
        commits=["data/champion.json"],
    )
    stages = add_stage_tasks(PROJECT, STAGES, gate=GATE)
    approve = ApproveOperator(
        task_id="approve", project=PROJECT, subject="Release?", decision=DECISION, show=[], gate=GATE
    )
    release = ReleaseOperator(task_id="release", project=PROJECT, arguments=["python", "release.py", "apply"])
    record = RecordOperator(
        task_id="record",
        project=PROJECT,
        asset=Asset("light-champion"),
        released=("action", "release"),
        result_of="release",
        metrics="data/ingest/metrics.json",
        after=[task.task_id for task in stages.last],
        trigger_rule="none_failed",
    )
    cleanup = CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=7, report=REPORT)
    stages.last >> approve >> release >> record
    add_run(prepare=prepare, work=stages.first, ends=[record, *stages.hooks], cleanup=cleanup, approval=approve)

with DAG("light_rollback", schedule=None, start_date=datetime(2026, 1, 5), params={"reason": "none"}):
    prepare = PrepareOperator(task_id="prepare", project=PROJECT)
    rollback = CommandOperator(
        task_id="rollback",
        project=PROJECT,
        arguments=["python", "release.py", "rollback", "--reason={{ params.reason }}"],
    )
    cleanup = CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=1)
    add_run(prepare=prepare, work=[rollback], ends=[rollback], cleanup=cleanup)

with DAG(
    "light_watch", schedule=None, start_date=datetime(2026, 1, 5), params={"key": "none", "open": []}, doc_md=__doc__
):
    prepare = PrepareOperator(task_id="prepare", project=PROJECT)

    @task
    def decide(params: dict | None = None) -> dict:
        """A decision for a retraining."""
        key = (params or {})["key"]
        return {"retrain": True, "key": key, "reason": "it drifted", "request": {"reason": "none"}, **DECIDED}

    listed = "import json, os, sys; open(os.environ['LIGHT_RESULT_FILE'], 'w').write(sys.argv[1])"
    limits = "'max_queued_hours': 6, 'max_running_hours': 24"
    settle_runs = SettleRunsOperator(
        task_id="settle_runs",
        project=PROJECT,
        trigger_dag_id="light_rollback",
        arguments=["python", "-c", listed, "{{ {'open': params.open, " + limits + "} | tojson }}"],
        settle=SETTLE,
    )
    decided = decide()
    settle_runs >> decided
    trigger = TriggerRetrainOperator(task_id="trigger_retrain", trigger_dag_id="light_rollback")
    confirmed = "import os; open(os.environ['LIGHT_RESULT_FILE'], 'w').write('{}')"
    confirm = ConfirmOperator(
        task_id="confirm", project=PROJECT, trigger_dag_id="light_rollback", arguments=["python", "-c", confirmed]
    )
    tell = NotifyOperator(task_id="tell", project=PROJECT)
    cleanup = CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=1)
    decided >> trigger >> confirm
    decided >> tell
    add_run(prepare=prepare, work=[settle_runs], ends=[confirm, tell], cleanup=cleanup)

with DAG("light_notices", schedule=None, start_date=datetime(2026, 1, 5)):
    NoticeOperator(
        task_id="notify",
        project=PROJECT,
        watched={"light_rollback": timedelta(days=7)},
        grace=timedelta(hours=6),
        max_champion_days=60,
    )

# Its runs end late, and the second one waits for the first.
with DAG(
    "light_late",
    schedule=None,
    start_date=datetime(2026, 1, 5),
    max_active_runs=1,
    deadline=deadlines(PROJECT, queued=timedelta(seconds=3), ended=timedelta(seconds=6)),
):

    @task
    def wait() -> None:
        """Take longer than the deadline."""
        time.sleep(25)

    wait()
