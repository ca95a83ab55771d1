"""# score

The champion's answers for new input, one UTC day at a time, and the gold labels that have arrived since.

**What starts it.** Every day at 03:00 UTC, for the day that ended at midnight. By hand (*Trigger*): the form takes a
window and a model version. A **backfill** scores past days; a window is scored by several workers
(`params.yaml: score.workers`), and a second run of it adds nothing.

**What comes of it.** In `live/<registered model>/` of the state root, `predictions/day=.../`: one row a record with its
features, label, confidence and model version; `labels/day=.../`: late labels of the last 60 days. `drift_watch` reads
both.

**When it fails.** Rows that were written stay and are found again: clear the red task. Exit code 66 in its log names
what is wrong (no champion yet, a window in the future, a source that cannot be read) and is not tried again.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, CronDataIntervalTimetable, Param
from orchestration.alerts import on_failure
from orchestration.graph import add_run
from orchestration.operators import CleanupOperator, CommandOperator, PrepareOperator
from orchestration.project import Project

SCHEDULE = CronDataIntervalTimetable("0 3 * * *", timezone="UTC")
PROJECT = Project.from_environment("PERENNIAL", root=Path(__file__).resolve().parents[1])
SCORE = ["python", "-m", "pipelines", "score"]
DAY, OPTIONAL = r"^\d{4}-\d{2}-\d{2}$", ["null", "string"]
INTERVAL_END = "(data_interval_end if data_interval_end is defined and data_interval_end else dag_run.run_after)"
END = f"(params.end or {INTERVAL_END}.strftime('%Y-%m-%d'))"
WINDOW = ["--start={{ params.start or macros.ds_add(" + END + ", -1) }}", "--end={{ " + END + " }}"]
VERSION = "{{ '--model-version=%d' % params.model_version if params.model_version else '--champion' }}"
LABELS = ["--start={{ macros.ds_add(" + END + ", -60) }}", WINDOW[1], "--labels-as-of={{ " + END + " }}"]

with DAG(
    "score",
    schedule=SCHEDULE,
    start_date=PROJECT.first_interval(SCHEDULE.expression) or datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=2,
    params={
        "start": Param(None, type=OPTIONAL, pattern=DAY, title="Window start", description="Empty: a day before end."),
        "end": Param(None, type=OPTIONAL, pattern=DAY, title="Window end", description="Empty: today, UTC."),
        "model_version": Param(None, type=["null", "integer"], title="Version", description="Empty: the champion."),
    },
    default_args={"retries": 2, "retry_delay": timedelta(seconds=20), "on_failure_callback": on_failure(PROJECT)},
    doc_md=__doc__,
    tags=["live"],
):
    prepare = PrepareOperator(task_id="prepare", project=PROJECT)
    score = CommandOperator(task_id="score", project=PROJECT, arguments=[*SCORE, *WINDOW, VERSION])
    labels = CommandOperator(task_id="labels", project=PROJECT, arguments=[*SCORE, *LABELS])
    cleanup = CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=1)
    add_run(prepare=prepare, work=[score, labels], ends=[score, labels], cleanup=cleanup)
