"""# storm

The tasks of `drift_watch` without the measuring: each of 25 columns waits for its verdict in the triggerer, one
decision is made, and each drifted column triggers `retrain` by itself, all at the same time. Eight parallel runs are
200 breaches.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG
from orchestration.graph import add_run
from orchestration.operators import CleanupOperator, CommandOperator, PrepareOperator
from orchestration.project import Project
from orchestration.sensors import JsonVerdictSensor
from watching.decided import DecidedOperator
from watching.tasks import PsiSensor, TriggerRetrainOperator

PROJECT = Project.from_environment("PERENNIAL", root=Path(__file__).resolve().parents[1])
DRIFT = ["python", "-m", "pipelines", "drift"]
CONFIRM = [*DRIFT, "confirm", "--key={key}", "--run-id=drift__{key}"]
COLUMNS = [f"column_{number:02d}" for number in range(25)]


class ColumnAsks(TriggerRetrainOperator):
    """The trigger of drift_watch, once per column."""

    def __init__(self, *, column: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.column = column


with DAG(
    "storm",
    schedule=None,
    start_date=datetime(2026, 1, 5),
    max_active_runs=8,
    max_active_tasks=400,
    params={"verdict": "", "breach": "", "go": ""},
    default_args={"retries": 3, "retry_delay": timedelta(seconds=2)},
    doc_md=__doc__,
):
    prepare = PrepareOperator(task_id="prepare", project=PROJECT)
    sensors = PsiSensor.partial(
        task_id="psi_sensor", path="{{ params.verdict }}", timeout=3600, poll_seconds=2.0
    ).expand(column=COLUMNS)
    decide = CommandOperator(
        task_id="decide", project=PROJECT, arguments=[*DRIFT, "decide", "--verdict={{ params.breach }}"]
    )
    go = JsonVerdictSensor(task_id="go", path="{{ params.go }}", timeout=3600, poll_seconds=1.0)
    trigger = ColumnAsks.partial(task_id="trigger_retrain", trigger_dag_id="retrain").expand(column=COLUMNS)
    confirm = DecidedOperator(
        task_id="confirm", project=PROJECT, action="retrain", arguments=CONFIRM, trigger_rule="none_failed"
    )
    cleanup = CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=1)
    sensors >> decide >> go >> trigger >> confirm
    add_run(prepare=prepare, work=[sensors], ends=[confirm], cleanup=cleanup, required=[decide])
