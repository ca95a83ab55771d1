"""# score

Predict with the champion on new input, one UTC day at a time, and collect the gold labels that have arrived since.

**What starts it.** The schedule: every day at 03:00 UTC, for the day that ended at midnight. The trigger form: a window
and a model version. A **backfill** scores past days. A window is scored by several workers
(`score.workers` in `params.yaml`); a second run of the same window adds nothing. The scheduled run also scores what is
missing before its day: rows that arrived late, and days that an outage missed.

**What it produces.** In `live/<registered model>/` of the state root: `predictions/day=.../`, one row per record with
its features, label, confidence and model version; `labels/day=.../`, late labels, for as long as the domain's
labels may take (`gold_delay_days`). `drift_watch` reads both.

**When it fails.** Rows that were written are kept and not written again: clear the failed task. Exit code 66 is not
retried; the log states what is wrong (no champion yet, a window in the future, a source that cannot be read).
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, CronDataIntervalTimetable, Param
from orchestration.alerts import deadlines, on_failure
from orchestration.graph import add_run, summary
from orchestration.operators import CleanupOperator, CommandOperator, PrepareOperator
from orchestration.project import Project

SCHEDULE = CronDataIntervalTimetable("0 3 * * *", timezone="UTC")
PROJECT = Project.from_environment("PERENNIAL", root=Path(__file__).resolve().parents[1])
SCORE = ["python", "-m", "pipelines", "score"]
DAY, OPTIONAL = r"^\d{4}-\d{2}-\d{2}$", ["null", "string"]
INTERVAL_END = "(data_interval_end if data_interval_end is defined and data_interval_end else dag_run.run_after)"
END = f"(params.end or {INTERVAL_END}.strftime('%Y-%m-%d'))"
WINDOW = ["--start={{ params.start or macros.ds_add(" + END + ", -1) }}", "--end={{ " + END + " }}"]
CATCH_UP = "{{ '--no-catch-up' if params.start or params.model_version else '--catch-up' }}"
VERSION = "{{ '--model-version=%d' % params.model_version if params.model_version else '--champion' }}"
LABELS = [WINDOW[1], "--labels-as-of={{ " + END + " }}"]

with DAG(
    "score",
    schedule=SCHEDULE,
    start_date=PROJECT.first_interval(SCHEDULE.expression) or datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=2,
    params={
        "start": Param(
            None, type=OPTIONAL, pattern=DAY, title="Window start", description="Default: one day before the end."
        ),
        "end": Param(None, type=OPTIONAL, pattern=DAY, title="Window end", description="Default: today (UTC)."),
        "model_version": Param(
            None, type=["null", "integer"], title="Model version", description="Default: the champion."
        ),
    },
    default_args={"retries": 2, "retry_delay": timedelta(seconds=20), "on_failure_callback": on_failure(PROJECT)},
    deadline=deadlines(PROJECT, queued=timedelta(hours=1), ended=timedelta(hours=6)),
    doc_md=__doc__,
    description=summary(__doc__),
    tags=["live"],
):
    prepare = PrepareOperator(task_id="prepare", project=PROJECT)
    score = CommandOperator(task_id="score", project=PROJECT, arguments=[*SCORE, *WINDOW, CATCH_UP, VERSION])
    labels = CommandOperator(task_id="labels", project=PROJECT, arguments=[*SCORE, *LABELS])
    cleanup = CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=1)
    add_run(prepare=prepare, work=[score, labels], ends=[score, labels], cleanup=cleanup, required=[score, labels])
