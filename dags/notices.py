"""# notices

Notify the owner of what no task reports: a champion that moved (release, rollback, by whatever command), a canary that
the service stopped, a champion older than `max_champion_days`, a paused `retrain`, and a weekly run that is late.

**What starts it.** The schedule: every ten minutes.

**What it produces.** Messages at the addresses of `PERENNIAL_ALERT_ADDRESS` and lines in `alerts.jsonl` of the state
root; `docs/on-call.md` lists what to do about each. What was sent is in `runs/notices.json`.

**When it fails.** The next run sends what this one did not.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, CronDataIntervalTimetable
from orchestration.alerts import on_failure
from orchestration.graph import summary
from orchestration.project import Project
from watching.notices import NoticeOperator

PROJECT = Project.from_environment("PERENNIAL", root=Path(__file__).resolve().parents[1])
SCHEDULE = CronDataIntervalTimetable("*/10 * * * *", timezone="UTC")

with DAG(
    "notices",
    schedule=SCHEDULE,
    start_date=PROJECT.first_interval(SCHEDULE.expression) or datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=20), "on_failure_callback": on_failure(PROJECT)},
    doc_md=__doc__,
    description=summary(__doc__),
    tags=["live"],
):
    NoticeOperator(
        task_id="notify",
        project=PROJECT,
        watched={"retrain": timedelta(days=7)},
        grace=timedelta(hours=6),
        max_champion_days=60,
    )
