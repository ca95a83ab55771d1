"""# retrain

From the source to a released model: a workspace at a pinned commit, one task for each stage of `dvc.yaml`, approval
when asked for, release, record, clean-up.

**What starts it.** Every Monday at 00:00 UTC, for the window that ends there (`ingest.window_days` long). By hand
(*Trigger*): the form takes a git ref, a window, parameter overrides, a reason, and whether a person must approve. By
`drift_watch`, when live data has moved. A **backfill** trains and records, and never releases. **Missed schedules:**
there is no catch-up; after an outage the last missed week is run, once, since its window holds the others'.

**What comes of it.** The branch and tag `runs/<run>` in git, data and run cache in the DVC remote:
`git checkout TAG && dvc repro --pull --allow-missing` replays it anywhere. A release emits the asset `champion` with
{revision, tag, version, metrics}: schedule on it. A rollback emits it too; a task that is run again may say it twice.

**When it fails.** A red gate (a stage with a verdict) is not a fault: its log ends with the check, value, limit, rows
and three records; nothing after it runs and the champion stays. Its workspace stays for 7 days. Faults are tried
again; then clear the red task: the run goes on at its own commit. The owner in `params.yaml` is told of both.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable
from orchestration.alerts import on_failure
from orchestration.graph import add_run, add_stage_tasks, read_graph, upstream_of
from orchestration.operators import ApproveOperator, CleanupOperator, PrepareOperator, RecordOperator, ReleaseOperator
from orchestration.project import Project
from orchestration.request import run_params

SCHEDULE = CronDataIntervalTimetable("0 0 * * 1", timezone="UTC")
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=30), "retry_exponential_backoff": 2.0}
PROJECT = Project.from_environment("PERENNIAL", root=Path(__file__).resolve().parents[1])
STAGES = read_graph(Path(__file__).with_name("graph.json"))
RELEASE = ["python", "-m", "pipelines"]
DECISION = "data/promote/decision.json"
CHAMPION = Asset("champion", uri="champion://perennial")

with DAG(
    "retrain",
    schedule=SCHEDULE,
    start_date=PROJECT.first_interval(SCHEDULE.expression) or datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=2,
    params=run_params(),
    default_args={**RETRIES, "max_retry_delay": timedelta(minutes=10), "on_failure_callback": on_failure(PROJECT)},
    doc_md=__doc__,
    tags=["training"],
):
    prepare = PrepareOperator(
        task_id="prepare",
        inlets=[CHAMPION],
        project=PROJECT,
        expected=upstream_of(STAGES),
        window="ingest",
        before_stages=[[*RELEASE, "pin"]],
        commits=["data/champion.json", "data/champion.dvc"],
    )
    stages = add_stage_tasks(PROJECT, STAGES, before={}, after={}, overrides="data/overrides")
    approve = ApproveOperator(
        task_id="approve",
        project=PROJECT,
        subject="Release this model?",
        decision=(DECISION, "action", "release"),
        evidence=["data/evaluate/metrics.json"],
        overrides="data/overrides",
    )
    release = ReleaseOperator(task_id="release", project=PROJECT, arguments=[*RELEASE, "apply"])
    record = RecordOperator(
        task_id="record",
        project=PROJECT,
        asset=CHAMPION,
        released=("action", "release"),
        result_of="release",
        metrics="data/evaluate/metrics.json",
        trigger_rule="none_failed_min_one_success",
    )
    cleanup = CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=7)
    stages.last >> approve >> release
    [release, *stages.last] >> record
    add_run(prepare=prepare, work=stages.first, ends=[record, *stages.hooks], cleanup=cleanup)
