"""Run a command in the workspace, outside DVC: a release, a rollback, a measurement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from orchestration.process import write_atomic
from orchestration.workspace import Workspace

from .approve import APPROVED_BY
from .base import WorkspaceOperator, actor, run_type


class CommandOperator(WorkspaceOperator):
    """Run an argument list in the workspace; the JSON object that it writes to its result file is the task's result.

    The file is named by the variable `<PREFIX>_RESULT_FILE` of the command. The event of each asset among the task's
    outlets carries the result. A command that succeeds without a result fails the task, unless `result=False`.
    """

    template_fields: Sequence[str] = ("arguments",)

    def __init__(self, *, arguments: Sequence[str], result: bool = True, **rest: Any) -> None:
        super().__init__(**rest)
        self.arguments = list(arguments)
        self.result = result

    def execute(self, context: Any) -> dict[str, Any]:
        """End what an earlier try left, run the command and return its result."""
        for argument in self.arguments:
            if "\0" in argument or any("\ud800" <= letter <= "\udfff" for letter in argument):
                raise AirflowFailException(f"{self.task_id}: {argument!r} cannot be passed to a program")
        workspace = self.workspace(context)
        workspace.restore()
        command = self.take_over(workspace, self.task_id)
        self.follow(workspace, command, self.arguments)
        result = command.result()
        if result is None and self.result:
            variable = self.project.result_variable
            raise AirflowFailException(f"{self.task_id}: the command wrote no JSON object to the file of ${variable}")
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra = result or {}
        return result or {}


class ReleaseOperator(CommandOperator):
    """Carry out the decision of a run; a backfill never does. Who approved it in the task `approval` is an actor, too."""

    ui_color = "#e6ffe6"

    def __init__(self, *, approval: str = "approve", **rest: Any) -> None:
        super().__init__(**rest)
        self.approval = approval

    def workspace(self, context: Any) -> Workspace:
        """Return the workspace of the context's run, with its approver among the actors."""
        run, who = context["dag_run"], actor(context)
        if approver := context["ti"].xcom_pull(task_ids=self.approval, key=APPROVED_BY):
            who += f", approved by {approver}"
        return Workspace(self.project, run.run_id, dag_id=run.dag_id, actor=who)

    def execute(self, context: Any) -> dict[str, Any]:
        """Run the release command, unless this run is a backfill."""
        if run_type(context) == "backfill":
            raise AirflowSkipException("a backfill never releases")
        run = context["dag_run"]
        note = {"dag_id": run.dag_id, "run_id": run.run_id}
        write_atomic(self.workspace(context).release_note, json.dumps(note))  # removed by `record`
        return super().execute(context)
