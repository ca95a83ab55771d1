"""# retrain

Train, evaluate and release a model: one task per stage of `dvc.yaml`, then an optional approval, the release, the
record and the clean-up. Each run has its own workspace (a git worktree) at a pinned commit.

**What starts it.** The schedule: every Monday at 00:00 UTC, for the window of `ingest.window_days` that ends then. The
trigger form: a git ref, a window, parameter overrides, a reason, and whether a person must approve. The DAG
`drift_watch`, after a drift breach. A **backfill** is compared with no champion, and never releases. There is no **catch-up**:
after an outage only the last missed week runs, because its window includes the others.

**What it produces.** In git the branch `runs/<run>` and the tag `runs/<run>.1`; data and run cache in the DVC remote. To
run it again on any machine and compare every digest: `make replay TAG=... REMOTE=...`. A release
emits an event of the asset `champion` with {revision, tag, version, metrics}; schedule other DAGs on it. A rollback
emits one too. A task that runs twice may emit an event twice.

**When it fails.** A failed gate (a stage with a verdict) is a finding, not a fault: the log ends with the check, its
value, limit and rows, and three records. Later stages do not run, the champion stays, and the workspace is kept for
7 days. Faults are retried; afterwards, clear the failed task, and the run continues at its own commit. The owner is
notified of both (`docs/on-call.md`). The last task, `outcome`, is red for a run that failed, was rejected or was stopped.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable
from orchestration import operators
from orchestration.alerts import deadlines, on_failure
from orchestration.graph import add_run, add_stage_tasks, read_graph, summary, upstream_of
from orchestration.project import Project
from orchestration.request import run_params

SCHEDULE = CronDataIntervalTimetable("0 0 * * 1", timezone="UTC")
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=30), "retry_exponential_backoff": 2.0}
RETRIES |= {"max_retry_delay": timedelta(minutes=10), "max_active_tis_per_dag": 2}
PROJECT = Project.from_environment("PERENNIAL", root=Path(__file__).resolve().parents[1])
STAGES = read_graph(Path(__file__).with_name("graph.json"))
COMMAND, GATE = ["python", "-m", "pipelines"], ["python", "-m", "pipelines", "gate"]
DECISION = ("data/promote/decision.json", "action", "release")
METRICS = "data/evaluate/metrics.json"
REPORT = operators.Report([*COMMAND, "drift", "settle"], decision=(*DECISION[:2], "refuse"))
CHAMPION = Asset("champion", uri="champion://perennial")

with DAG(
    "retrain",
    schedule=SCHEDULE,
    start_date=PROJECT.first_interval(SCHEDULE.expression) or datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=8,  # a run that waits for an approval blocks no other; at most two work on the same stage
    params=run_params(),
    default_args={**RETRIES, "on_failure_callback": on_failure(PROJECT)},
    deadline=deadlines(PROJECT, queued=timedelta(hours=1), ended=timedelta(hours=12)),
    doc_md=__doc__,
    description=summary(__doc__),
    tags=["training"],
):
    prepare = operators.PrepareOperator(
        task_id="prepare",
        inlets=[CHAMPION],
        project=PROJECT,
        expected=upstream_of(STAGES),
        set_parameters=[*COMMAND, "params", "set"],
        before_stages=[[*COMMAND, "pin", "{backfill}"]],
        commits=["data/champion.json", "data/champion.dvc"],
    )
    stages = add_stage_tasks(PROJECT, STAGES, gate=GATE, before={}, after={})
    approve = operators.ApproveOperator(
        task_id="approve", project=PROJECT, subject="Release this model?", decision=DECISION, show=[METRICS], gate=GATE
    )
    release = operators.ReleaseOperator(task_id="release", project=PROJECT, arguments=[*COMMAND, "apply"])
    record = operators.RecordOperator(
        task_id="record",
        project=PROJECT,
        asset=CHAMPION,
        after=[task.task_id for task in stages.last],
        metrics=METRICS,
        trigger_rule="none_failed",
    )
    cleanup = operators.CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=7, report=REPORT)
    stages.last >> approve >> release >> record
    add_run(prepare=prepare, work=stages.first, ends=[record, *stages.hooks], cleanup=cleanup, approval=approve)
