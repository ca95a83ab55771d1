"""Run a stage as DVC would, verify what it left, and read its gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from orchestration import lockfile, record
from orchestration.gate import Gate
from orchestration.workspace import Workspace

from .base import WorkspaceOperator


class GateClosed(AirflowFailException):
    """A gate is closed: a finding, no fault; its notification is of its own kind."""

    kind = "gate closed"


class VerdictLink(BaseOperatorLink):
    """Link from a gate's task to what its gate found."""

    name = "Verdict"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the task's XCom page, where `gate` has the checks and records."""
        return f"/dags/{ti_key.dag_id}/runs/{ti_key.run_id}/tasks/{ti_key.task_id}/xcom"


class DvcStageOperator(WorkspaceOperator):
    """Run one stage with `dvc repro -s` and commit what it wrote; a closed gate fails the task without a retry.

    Settings of the stage in `dvc.yaml` (`meta.airflow`), read from the run's own commit:
    `verdict`: the file that makes the stage a gate; `gate` is the command that answers whether it is open.
    `after`: a command that runs after the stage whatever the verdict, for example to render a page.
    `after_outs`: files that this command writes; they are committed with the stage.
    """

    ui_color = "#e8f1ff"
    operator_extra_links = (VerdictLink(),)

    def __init__(self, *, stage: str, gate: Sequence[str] = (), **rest: Any) -> None:
        super().__init__(**rest)
        self.stage = stage
        self.gate = list(gate)

    def execute(self, context: Any) -> dict[str, Any]:
        """End what an earlier try left, run the stage, verify its lock entry, commit, read its gate.

        The outcome is `changed` or `unchanged`: whether the lock entry differs from that of the run's last commit.
        Whether DVC ran the command or took the result from the run cache is in the log.
        """
        workspace = self.workspace(context)
        restored = workspace.restore()
        if self.stage not in workspace.dvc.stages:
            self.log.warning("the commit of this run has no stage %r: nothing to do", self.stage)
            return {"stage": self.stage, "outcome": "absent", "commit": workspace.tree.head}
        command = self.take_over(workspace, self.stage)
        lockfile.remove_empty_run_cache_folders(self.project.cache)
        if self.project.distributed:
            record.catch_up(workspace)
        if absent := workspace.dvc.never_ran(self.stage):
            inputs = ", ".join(workspace.dvc.missing_inputs(self.stage)) or "what they write"
            raise AirflowFailException(
                f"{self.stage} reads {inputs}, and {', '.join(absent)} never ran in this run: clear that task"
            )
        before = workspace.committed_entry(self.stage)
        arguments = workspace.dvc.arguments("repro", "--single-item")
        if restored or self.project.distributed or workspace.dvc.missing_inputs(self.stage):
            # Another host has the files: fetch them. Never --allow-missing: a stage that never ran would count as done.
            workspace.dvc.fetch_inputs(self.stage)
            arguments.append("--pull")
        self.follow(workspace, command, [*arguments, self.stage])
        found = workspace.dvc.entry(self.stage)
        if wrong := lockfile.mismatches(workspace.path, self.stage, found=found, project=self.project):
            raise AirflowException(f"{self.stage}: its lock entry differs from the disk:\n" + "\n".join(wrong))
        outcome = "unchanged" if found == before else "changed"
        settings = workspace.dvc.stages[self.stage]["airflow"]
        failure = self._run_after(workspace, settings)
        commit = self._commit(workspace, outcome, settings)
        self._read_gate(context, workspace, settings)
        if failure is not None:
            raise failure
        return {"stage": self.stage, "outcome": outcome, "commit": commit}

    def _run_after(self, workspace: Workspace, settings: Mapping[str, Any]) -> AirflowException | None:
        """Run the stage's `after` command; its failure is returned, since a closed gate is the more important news."""
        if not settings.get("after"):
            return None
        command = self.take_over(workspace, f"{self.stage}.after")
        try:
            self.follow(workspace, command, list(settings["after"]))
        except AirflowException as error:
            self.log.warning("%s", error)
            return error
        return None

    def _commit(self, workspace: Workspace, outcome: str, settings: Mapping[str, Any]) -> str:
        stage = workspace.dvc.stages[self.stage]
        named = [lockfile.address(self.stage)[0], "params.yaml", *stage["git_outs"], *settings.get("after_outs", [])]
        commit = workspace.commit(f"{self.stage}: {outcome}", named)
        if self.project.distributed:
            commit = record.share(workspace, stage=self.stage, log=self.log)
        return commit

    def _read_gate(self, context: Any, workspace: Workspace, settings: Mapping[str, Any]) -> None:
        verdict = settings.get("verdict")
        if verdict is None:
            return
        gate = Gate.read(workspace, stage=self.stage, verdict=verdict, command=self.gate)
        self.log.info("%s", gate.page(records=False))
        if gate.override:
            self.log.warning("the gate is closed and was overridden by %s", gate.overridden_by)
        if not gate.is_open:
            context["ti"].xcom_push(key="gate", value=gate.evidence())
            raise GateClosed(gate.reason())
