"""# drift_watch

Is the world still the one that the champion was trained in? Measure last week's predictions against the champion's
profile, show which column moved, walk the decision tree, and let `retrain` run at most once for one cause.

**What starts it.** Every day at 05:00 UTC, for the seven days that ended at midnight. By hand (*Trigger*): the form
takes a window and a model version.

**What comes of it.** `drift/<key>/` in the state root holds `verdict.json`, `drift.html` (read this first), Evidently's
report and the decision; `decisions.jsonl` holds all decisions. In the grid each column is an instance of `psi_sensor`:
green where it moved, pink where it did not. `decide` says what is done and why: a broken feed is alerted and never
retrained on; a champion that is worse than the one before it is rolled back; a breach triggers `retrain` as the run
`drift__<key>`, once for one cause, within the cooldown and the compute budget; else a person is paged.

**When it fails.** Nothing was triggered. Clear the red task: the same cause has the same key, so nothing happens twice.
The cooldown is written only after the trigger: a crash in between triggers again, and finds that the run is there.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, task
from airflow.sdk.exceptions import AirflowSkipException
from orchestration.alerts import on_failure, send
from orchestration.graph import add_run
from orchestration.operators import CleanupOperator, CommandOperator, PrepareOperator
from orchestration.project import Project
from orchestration.sensors import JsonVerdictSensor

PROJECT = Project.from_environment("PERENNIAL", root=Path(__file__).resolve().parents[1])
DRIFT = ["python", "-m", "pipelines.drift"]
DAY, OPTIONAL = r"^\d{4}-\d{2}-\d{2}$", ["null", "string"]
INTERVAL_END = "(data_interval_end if data_interval_end is defined and data_interval_end else dag_run.run_after)"
END = f"(params.end or {INTERVAL_END}.strftime('%Y-%m-%d'))"
MEASURE = [
    *DRIFT,
    "measure",
    "--start={{ params.start or macros.ds_add(" + END + ", -7) }}",
    "--end={{ " + END + " }}",
    "--model-version={{ params.model_version or 0 }}",
    "--texts={{ 'yes' if params.texts else 'no' }}",
]
MOVED = ("breach", "alert")


class PsiSensor(JsonVerdictSensor):
    """Waits for the verdict on one column; skipped where the column has not moved, so that the grid shows which has."""

    def __init__(self, *, column: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.column = column

    def execute(self, context: Any) -> Any:
        """Answer at once when the verdict is there, else wait in the triggerer."""
        return self.moved(super().execute(context))

    def complete(self, context: Any, event: Any = None) -> Any:
        """Answer with what the triggerer saw."""
        return self.moved(event)

    def moved(self, verdict: dict[str, Any]) -> dict[str, Any]:
        """What the verdict says of the column."""
        facts = verdict["columns"][self.column]
        said = {name: facts[name] for name in ("outcome", "psi", "median", "excess", "rank", "p", "since", "why")}
        self.log.info("%s: %s", self.column, said)
        if facts["outcome"] not in MOVED:
            raise AirflowSkipException(f"{self.column}: {facts['outcome']}")
        return said


class DecidedOperator(CommandOperator):
    """A command that is only run where the decision asks for it."""

    template_fields = ()

    def __init__(self, *, asked: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.asked = asked

    def execute(self, context: Any) -> Any:
        """Fill in the decision's key and reason, and run."""
        decision = context["ti"].xcom_pull(task_ids="decide")
        if not decision[self.asked]:
            raise AirflowSkipException(f"the decision is: {decision['action']}")
        told = {"key": decision["key"], "reason": decision["reason"][:900]}
        self.arguments = [part.format(**told) if part.startswith("--") else part for part in self.arguments]
        return super().execute(context)


class TriggerRetrainOperator(TriggerDagRunOperator):
    """Trigger `retrain` under the decision's key; a run of that key that is there already is enough."""

    template_fields = ()

    def execute(self, context: Any) -> Any:
        """Trigger, unless the decision asks for no retraining."""
        decision = context["ti"].xcom_pull(task_ids="decide")
        if not decision["retrain"]:
            raise AirflowSkipException(f"the decision is: {decision['action']}")
        self.trigger_run_id, self.conf = f"drift__{decision['key']}", decision["request"]
        return super().execute(context)


@task
def columns(measured: dict[str, Any]) -> list[str]:
    """The columns of the profile."""
    return list(measured["columns"])


@task(trigger_rule="none_failed")
def tell(decision: dict[str, Any]) -> dict[str, Any]:
    """Alert or page the owner where the decision says so."""
    if not (decision["alert"] or decision["page"]):
        raise AirflowSkipException(f"the decision is: {decision['action']}: {decision['reason']}")
    kind = "page" if decision["page"] else "alert"
    return send(PROJECT, message=f"drift: {kind}: {decision['reason']}", kind=kind, verdict=decision["verdict"])


with DAG(
    "drift_watch",
    schedule=CronDataIntervalTimetable("0 5 * * *", timezone="UTC"),
    start_date=PROJECT.schedules_from or datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=1,
    params={
        "start": Param(
            None, type=OPTIONAL, pattern=DAY, title="Window start", description="Empty: 7 days before its end."
        ),
        "end": Param(None, type=OPTIONAL, pattern=DAY, title="Window end", description="Empty: today, UTC."),
        "model_version": Param(None, type=["null", "integer"], title="Version", description="Empty: the champion."),
        "texts": Param(
            False, type="boolean", title="Texts", description="Read the texts again, for unknown words and embeddings."
        ),
    },
    default_args={"retries": 2, "retry_delay": timedelta(seconds=20), "on_failure_callback": on_failure(PROJECT)},
    doc_md=__doc__,
    tags=["drift"],
):
    prepare = PrepareOperator(task_id="prepare", project=PROJECT)
    measure = CommandOperator(task_id="measure", project=PROJECT, arguments=MEASURE)
    sensors = PsiSensor.partial(
        task_id="psi_sensor",
        path="{{ ti.xcom_pull(task_ids='measure')['verdict'] }}",
        timeout=3600,
        map_index_template="{{ task.column }}",
    ).expand(column=columns(measure.output))
    decide = CommandOperator(
        task_id="decide",
        project=PROJECT,
        arguments=[*DRIFT, "decide", "--verdict={{ ti.xcom_pull(task_ids='measure')['key'] }}"],
        trigger_rule="none_failed",
    )
    told = tell(decide.output)
    rollback = DecidedOperator(
        task_id="rollback",
        project=PROJECT,
        asked="rollback",
        arguments=["python", "-m", "pipelines.release", "rollback", "--reason={reason}"],
    )
    trigger = TriggerRetrainOperator(
        task_id="trigger_retrain",
        trigger_dag_id="retrain",
        skip_when_already_exists=True,
        trigger_rule="none_failed",
    )
    confirm = DecidedOperator(
        task_id="confirm",
        project=PROJECT,
        asked="retrain",
        arguments=[*DRIFT, "decide", "--confirm={key}", "--run-id=drift__{key}"],
        trigger_rule="none_failed",
    )
    cleanup = CleanupOperator(task_id="cleanup", project=PROJECT, keep_days=1)
    measure >> sensors >> decide >> rollback >> trigger >> confirm
    add_run(prepare=prepare, work=[measure], ends=[told, confirm], cleanup=cleanup)
