"""# rollback

Make the previous champion the champion again, in under a minute: the alias moves, nothing is trained.

**What starts it.** Only the trigger form, with a reason that is recorded in the champion's history.

**What it produces.** The champion alias points at the version that was champion before. A line of the history states
who, when, why, from and to. Services that use the champion follow automatically. The asset `champion` gets an event
with {action: rollback, revision, version, previous, reason}.

**When it fails.** The alias has not moved, and the log states why: no earlier champion, or a damaged artifact. Nothing
needs to be cleaned up: fix the cause and trigger the DAG again.
"""

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Asset, Param
from orchestration.alerts import deadlines, on_failure
from orchestration.graph import add_run, summary
from orchestration.operators import CleanupOperator, CommandOperator, PrepareOperator
from orchestration.project import Project

PROJECT = Project.from_environment("PERENNIAL", root=Path(__file__).resolve().parents[1])
ROLLBACK = ["python", "-m", "pipelines", "rollback", "--reason={{ params.reason }}"]
CHAMPION = Asset("champion", uri="champion://perennial")
REASON = Param(type="string", minLength=5, maxLength=1000, title="Reason", description="Recorded in the history.")

with DAG(
    "rollback",
    schedule=None,
    start_date=datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=1,
    params={"reason": REASON},
    default_args={"retries": 1, "retry_delay": timedelta(seconds=5), "on_failure_callback": on_failure(PROJECT)},
    deadline=deadlines(PROJECT, queued=timedelta(hours=1), ended=timedelta(hours=6)),
    doc_md=__doc__,
    description=summary(__doc__),
    tags=["release"],
):
    prepare = PrepareOperator(task_id="prepare", project=PROJECT)
    rollback = CommandOperator(task_id="rollback", project=PROJECT, arguments=ROLLBACK, outlets=[CHAMPION])
    cleanup = CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=1)
    add_run(prepare=prepare, work=[rollback], ends=[rollback], cleanup=cleanup)
