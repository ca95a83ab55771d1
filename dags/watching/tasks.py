"""Tasks of `drift_watch`: one sensor a column, and what a decision asks for; nothing where it asks for nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperator, BaseOperatorLink, Param, task
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException
from orchestration.alerts import send
from orchestration.operators import CommandOperator
from orchestration.project import Project
from orchestration.sensors import JsonVerdictSensor

MOVED = ("breach", "alert")
DAY, OPTIONAL = r"^\d{4}-\d{2}-\d{2}$", ["null", "string"]


def watch_params() -> dict[str, Param]:
    """The form of a run by hand: which window, which model, how much to look at."""
    start, end, version = "Empty: 7 days before its end.", "Empty: today, UTC.", "Empty: the champion."
    texts = "Read the texts again, for unknown words and embeddings."
    return {
        "start": Param(None, type=OPTIONAL, pattern=DAY, title="Window start", description=start),
        "end": Param(None, type=OPTIONAL, pattern=DAY, title="Window end", description=end),
        "model_version": Param(None, type=["null", "integer"], title="Version", description=version),
        "texts": Param(False, type="boolean", title="Texts", description=texts),
    }


@task
def columns(measured: dict[str, Any]) -> list[str]:
    """The columns of the profile."""
    return list(measured["columns"])


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


class TriggeredRunLink(BaseOperatorLink):
    """From the task to the run that it has triggered."""

    name = "Triggered run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The run's page; Airflow keeps the run's id among the task's XComs."""
        from airflow.sdk.execution_time.xcom import XCom

        run_id = XCom.get_value(ti_key=ti_key, key="trigger_run_id")
        return f"/dags/{operator.trigger_dag_id}/runs/{quote(run_id)}" if run_id else ""


class TriggerRetrainOperator(BaseOperator):
    """Trigger `retrain` under the decision's key; a run of that key that is there already is enough.

    As Airflow's TriggerDagRunOperator does it, whose module brings the models of Airflow's database along: that import
    alone took most of the half second in which a DAG file is to be parsed.
    """

    operator_extra_links = (TriggeredRunLink(),)

    def __init__(self, *, trigger_dag_id: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.trigger_dag_id = trigger_dag_id

    def execute(self, context: Any) -> Any:
        """Trigger, unless the decision asks for no retraining."""
        decision = context["ti"].xcom_pull(task_ids="decide")
        if not decision["retrain"]:
            raise AirflowSkipException(f"the decision is: {decision['action']}")
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


class TellOperator(BaseOperator):
    """Alert or page the owner where the decision says so."""

    def __init__(self, *, project: Project, **rest: Any) -> None:
        super().__init__(**rest)
        self.project = project

    def execute(self, context: Any) -> dict[str, Any]:
        """Send what was decided, unless nobody has to hear of it."""
        decision = context["ti"].xcom_pull(task_ids="decide")
        if not (decision["alert"] or decision["page"]):
            raise AirflowSkipException(f"the decision is: {decision['action']}: {decision['reason']}")
        kind = "page" if decision["page"] else "alert"
        message = f"drift: {kind}: {decision['reason']}"
        return send(self.project, message=message, kind=kind, verdict=decision["verdict"])
