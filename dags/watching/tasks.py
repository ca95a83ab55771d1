"""Tasks of `drift_watch`: one sensor per column, and operators that carry out what was decided."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperator, BaseOperatorLink, Param, task
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException
from orchestration.alerts import send
from orchestration.project import Project
from orchestration.sensors import JsonVerdictSensor

from .runs import refuse_if_paused

DRIFTED = ("breach", "alert")
SHOWN = ("outcome", "psi", "median", "excess", "rank", "p", "since", "why")
DAY, OPTIONAL = r"^\d{4}-\d{2}-\d{2}$", ["null", "string"]


def watch_params() -> dict[str, Param]:
    """Return the trigger form: which window, which model, and whether to read the texts."""
    start, end, version = "Default: 7 days before the end.", "Default: today (UTC).", "Default: the champion."
    texts = "Also measure unknown words and embeddings; takes longer because the texts are read again."
    return {
        "start": Param(None, type=OPTIONAL, pattern=DAY, title="Window start", description=start),
        "end": Param(None, type=OPTIONAL, pattern=DAY, title="Window end", description=end),
        "model_version": Param(None, type=["null", "integer"], title="Model version", description=version),
        "texts": Param(False, type="boolean", title="Read the texts", description=texts),
    }


@task
def columns(measured: dict[str, Any]) -> list[str]:
    """Return the columns of the profile."""
    return list(measured["columns"])


class PsiSensor(JsonVerdictSensor):
    """Wait for the verdict on one column; skipped where it has not drifted, so that the grid shows which columns
    have.
    """

    def __init__(self, *, column: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.column = column

    def execute(self, context: Any) -> Any:
        """Return at once when the verdict exists, else wait in the triggerer."""
        return self.drifted(super().execute(context))

    def complete(self, context: Any, event: Any = None) -> Any:
        """Return what the triggerer found."""
        return self.drifted(event)

    def drifted(self, verdict: dict[str, Any]) -> dict[str, Any]:
        """Return what the verdict states about the column; AirflowSkipException when it has not drifted."""
        found = verdict["columns"][self.column]
        facts = {name: found[name] for name in SHOWN}
        self.log.info("%s: %s", self.column, facts)
        if found["outcome"] not in DRIFTED:
            raise AirflowSkipException(f"{self.column}: {found['outcome']}")
        return facts


class TriggeredRunLink(BaseOperatorLink):
    """Link from the task to the run that it has triggered."""

    name = "Triggered run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the run's page; Airflow keeps the run's id among the task's XComs."""
        from airflow.sdk.execution_time.xcom import XCom

        run_id = XCom.get_value(ti_key=ti_key, key="trigger_run_id")
        return f"/dags/{operator.trigger_dag_id}/runs/{quote(run_id)}" if run_id else ""


class TriggerRetrainOperator(BaseOperator):
    """Trigger `retrain` with the decision's key in its run id; an existing run with that id is not triggered again.

    It does what Airflow's TriggerDagRunOperator does. Importing that one also imports the models of Airflow's database,
    which alone took most of the half second in which a DAG file should be parsed.
    """

    operator_extra_links = (TriggeredRunLink(),)

    def __init__(self, *, trigger_dag_id: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.trigger_dag_id = trigger_dag_id

    def execute(self, context: Any) -> Any:
        """Trigger the run, unless the decision includes no retraining."""
        decision = context["ti"].xcom_pull(task_ids="decide")
        if not decision["retrain"]:
            raise AirflowSkipException(f"the decision is {decision['action']}")
        refuse_if_paused(context, self.trigger_dag_id)
        raise DagRunTriggerException(
            trigger_dag_id=self.trigger_dag_id,
            dag_run_id=f"drift__{decision['key']}",
            conf=decision["request"],
            logical_date=datetime.now(UTC),
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=False,
            allowed_states=[],
            failed_states=[],
            poke_interval=0,
            deferrable=False,
        )


class NotifyOperator(BaseOperator):
    """Notify the owner of a decision: an alert (the feed), a page (a person is needed), or what is done by itself."""

    def __init__(self, *, project: Project, **rest: Any) -> None:
        super().__init__(**rest)
        self.project = project

    def execute(self, context: Any) -> dict[str, Any]:
        """Send the decision; AirflowSkipException when it is to do nothing."""
        decision = context["ti"].xcom_pull(task_ids="decide")
        kinds = ("page", "alert", "rollback", "retrain")
        kind = next((kind for kind in kinds if decision[kind]), None)
        if kind is None:
            raise AirflowSkipException(f"the decision is {decision['action']}: {decision['reason']}")
        message = f"drift: {kind}: {decision['reason']}"
        return send(self.project, message=message, kind=kind, verdict=decision["verdict"])
