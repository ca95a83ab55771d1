"""What became of triggered retrainings: confirm that Airflow has them, and record those that ended without a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowFailException
from orchestration.alerts import send
from orchestration.operators import CommandOperator

from .decided import DecidedOperator


class ConfirmOperator(DecidedOperator):
    """Record that the retraining was triggered, which starts the cooldown, once Airflow itself has the run."""

    def __init__(self, *, trigger_dag_id: str, **rest: Any) -> None:
        super().__init__(action="retrain", **rest)
        self.trigger_dag_id = trigger_dag_id

    def execute(self, context: Any) -> Any:
        """Read the triggered run back; AirflowFailException when it waits for a DAG that is paused."""
        decision = context["ti"].xcom_pull(task_ids="decide")
        if decision["retrain"]:
            run_id = f"drift__{decision['key']}"
            if context["ti"].get_dagrun_state(dag_id=self.trigger_dag_id, run_id=run_id) == "queued":
                refuse_if_paused(context, self.trigger_dag_id)
        return super().execute(context)


class SettleRunsOperator(CommandOperator):
    """Record how triggered runs ended that have not reported it: deleted, marked, failed early, waiting for too long.

    The command lists the open runs with `max_queued_hours` and `max_running_hours`; `settle` is the command that
    records an outcome. The owner is paged for each, and for each run that waits for a paused DAG.
    """

    def __init__(self, *, trigger_dag_id: str, settle: Sequence[str], **rest: Any) -> None:
        super().__init__(**rest)
        self.trigger_dag_id = trigger_dag_id
        self.settle = list(settle)

    def execute(self, context: Any) -> dict[str, Any]:
        """Ask Airflow about each open run; the result is the reasons by run id."""
        found, settled = super().execute(context), dict[str, str]()
        for run in found["open"]:
            ended = how_it_ended(context["ti"], run, dag_id=self.trigger_dag_id, limits=found, now=datetime.now(UTC))
            if ended is None:
                continue
            outcome, why = ended
            settled[run["run_id"]] = why
            if outcome:
                options = {"key": run["key"], "run-id": run["run_id"], "outcome": outcome, "why": why}
                arguments = [*self.settle, "--check", *(f"--{name}={value}" for name, value in options.items())]
                workspace = self.workspace(context)
                self.follow(workspace, self.take_over(workspace, f"{self.task_id}.settle"), arguments)
            message = f"the retraining {self.trigger_dag_id} {run['run_id']} {why}"
            send(self.project, message=message, kind="page", run_id=run["run_id"], outcome=outcome)
        return settled


def how_it_ended(
    ti: Any, run: Mapping[str, Any], *, dag_id: str, limits: Mapping[str, float], now: datetime
) -> tuple[str | None, str] | None:
    """Return the outcome of a run and why, as Airflow knows it; (None, why) for one that waits, None for one that works.

    A run that is a success and has reported nothing was marked by a person: no model was released by it.
    """
    if not ti.get_dr_count(dag_id=dag_id, run_ids=[run["run_id"]]):
        return "failed", "was deleted in Airflow"
    state = str(getattr(found := ti.get_dagrun_state(dag_id=dag_id, run_id=run["run_id"]), "value", found))
    if state == "failed":
        return "failed", "failed"
    if state == "success":
        return "failed", "was marked as success, and has released, kept and refused nothing"
    hours = (now - datetime.fromisoformat(run["at"])).total_seconds() / 3600
    if state == "queued":
        paused = f": the DAG {dag_id} is paused, unpause it" if ti.get_dag(dag_id).is_paused else ""
        if hours > limits["max_queued_hours"]:
            return "never_started", f"has waited for {hours:.0f} hours and never started{paused}"
        return (None, f"waits{paused}") if paused else None
    if hours > limits["max_running_hours"]:
        return "failed", f"has run for {hours:.0f} hours without an end: look at its task, then mark the run as failed"
    return None


def refuse_if_paused(context: Any, dag_id: str) -> None:
    """AirflowFailException when a DAG is paused: Airflow would create a run that nothing starts."""
    if context["ti"].get_dag(dag_id).is_paused:
        raise AirflowFailException(
            f"page: a retraining is due and the DAG {dag_id} is paused: unpause it, then clear this task. "
            "The cooldown has not started"
        )
