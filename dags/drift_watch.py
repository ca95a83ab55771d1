"""# drift_watch

Compare last week's predictions with the champion's training profile, show which columns have drifted, decide what to
do, and trigger `retrain` at most once per cause.

**What starts it.** The schedule: every day at 05:00 UTC, for the seven days that ended at midnight. The trigger form: a
window and a model version.

**What it produces.** In `live/<registered model>/` of the state root: `drift/<key>/` with `verdict.json`, `drift.html`
(start here), Evidently's report and the decision; `decisions.jsonl` with all decisions. In the grid, each column is an
instance of `psi_sensor`: successful if it has drifted, skipped if not. `decide` states the action and the reason: a
broken feed raises an alert and never retrains; a champion that is worse than its predecessor is rolled back; a drift
breach triggers `retrain` as the run `drift__<key>`, once per cause, within cooldown and compute budget; in all other
cases that need attention the owner is paged. `settle_runs` first records how earlier retrainings ended that could not
report it (deleted, marked by hand, waiting for hours) and pages the owner: a failed one answers nothing, and its cause may
start another, at most `drift.decision.max_attempts` times per cooldown.

**When it fails.** Clear the failed task: the same cause has the same key, so nothing happens twice. The cooldown starts
only when Airflow has the triggered run; after a crash in between, the task triggers again and finds the existing run.
While `retrain` is paused nothing is triggered, and the owner is paged every day: unpause it, then clear
`trigger_retrain`.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, CronDataIntervalTimetable
from orchestration.alerts import deadlines, on_failure
from orchestration.graph import add_run, summary
from orchestration.operators import CleanupOperator, CommandOperator, PrepareOperator
from orchestration.project import Project
from watching.decided import DecidedOperator
from watching.runs import ConfirmOperator, SettleRunsOperator
from watching.tasks import NotifyOperator, PsiSensor, TriggerRetrainOperator, columns, watch_params

SCHEDULE = CronDataIntervalTimetable("0 5 * * *", timezone="UTC")
PROJECT = Project.from_environment("PERENNIAL", root=Path(__file__).resolve().parents[1])
DRIFT = ["python", "-m", "pipelines", "drift"]
INTERVAL_END = "(data_interval_end if data_interval_end is defined and data_interval_end else dag_run.run_after)"
END = f"(params.end or {INTERVAL_END}.strftime('%Y-%m-%d'))"
WINDOW = ["--start={{ params.start or macros.ds_add(" + END + ", -7) }}", "--end={{ " + END + " }}"]
WHAT = ["--model-version={{ params.model_version or 0 }}", "{{ '--texts' if params.texts else '--no-texts' }}"]
MEASURED = "{{ ti.xcom_pull(task_ids='measure')['%s'] }}"
DECIDE = [*DRIFT, "decide", f"--verdict={MEASURED % 'key'}"]
CONFIRM = [*DRIFT, "confirm", "--key={key}", "--run-id=drift__{key}"]
RUNS = {"arguments": [*DRIFT, "runs"], "settle": [*DRIFT, "settle"]}
ROLLBACK = ["python", "-m", "pipelines", "rollback", "--reason={reason}"]

with DAG(
    "drift_watch",
    schedule=SCHEDULE,
    start_date=PROJECT.first_interval(SCHEDULE.expression) or datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=1,
    params=watch_params(),
    default_args={"retries": 2, "retry_delay": timedelta(seconds=20), "on_failure_callback": on_failure(PROJECT)},
    deadline=deadlines(PROJECT, queued=timedelta(hours=1), ended=timedelta(hours=6)),
    doc_md=__doc__,
    description=summary(__doc__),
    tags=["drift"],
):
    prepare = PrepareOperator(task_id="prepare", project=PROJECT)
    measure = CommandOperator(task_id="measure", project=PROJECT, arguments=[*DRIFT, "measure", *WINDOW, *WHAT])
    sensors = PsiSensor.partial(
        task_id="psi_sensor", path=MEASURED % "verdict", timeout=3600, map_index_template="{{ task.column }}"
    ).expand(column=columns(measure.output))
    settle_runs = SettleRunsOperator(task_id="settle_runs", project=PROJECT, trigger_dag_id="retrain", **RUNS)
    decide = CommandOperator(task_id="decide", project=PROJECT, arguments=DECIDE, trigger_rule="none_failed")
    tell = NotifyOperator(task_id="tell", project=PROJECT, trigger_rule="none_failed")
    rollback = DecidedOperator(task_id="rollback", project=PROJECT, action="rollback", arguments=ROLLBACK)
    trigger = TriggerRetrainOperator(task_id="trigger_retrain", trigger_dag_id="retrain", trigger_rule="none_failed")
    confirm = ConfirmOperator(
        task_id="confirm", project=PROJECT, trigger_dag_id="retrain", arguments=CONFIRM, trigger_rule="none_failed"
    )
    cleanup = CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=1)
    [sensors, settle_runs] >> decide >> [rollback, tell]
    measure >> sensors
    rollback >> trigger >> confirm
    add_run(prepare=prepare, work=[measure, settle_runs], ends=[tell, confirm], cleanup=cleanup, required=[decide])
