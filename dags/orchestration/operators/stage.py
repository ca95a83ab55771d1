"""Run a stage as DVC would, prove what it left, and read its gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from orchestration import lockfile, record
from orchestration.gate import Gate
from orchestration.workspace import Workspace

from .base import WorkspaceOperator


class VerdictLink(BaseOperatorLink):
    """From a gate's task to what its gate found."""

    name = "Verdict"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The task's XCom page, where `gate` holds the checks and records."""
        return f"/dags/{ti_key.dag_id}/runs/{ti_key.run_id}/tasks/{ti_key.task_id}/xcom"


class DvcStageOperator(WorkspaceOperator):
    """Run one stage with `dvc repro -s` and commit what it wrote; a closed gate fails at once and says why."""

    ui_color = "#e8f1ff"
    operator_extra_links = (VerdictLink(),)

    def __init__(self, *, stage: str, verdict: str | None = None, overrides: str | None = None, **rest: Any) -> None:
        super().__init__(**rest)
        self.stage = stage
        self.verdict = verdict
        self.overrides = overrides

    def execute(self, context: Any) -> dict[str, Any]:
        """Settle what an earlier try left, run the stage, prove its lock entry, commit, read its gate."""
        workspace = self.workspace(context)
        restored = workspace.restore()
        if self.stage not in workspace.stages:
            self.log.warning("this run's commit has no stage %r: nothing to do", self.stage)
            return {"stage": self.stage, "outcome": "absent", "commit": workspace.head}
        command = self.start(workspace, self.stage)
        if command.settle():
            workspace.mend(stage=self.stage)
        else:
            lockfile.mend_rwlock(workspace.path)
        if self.project.distributed:
            record.catch_up(workspace)
        arguments = [workspace.dvc, "--cd", str(workspace.path), "--wait-for-lock", "repro", "--single-item"]
        if restored or self.project.distributed or workspace.lacks_inputs(self.stage):
            # Another host has the files: fetch them. Never --allow-missing: a stage that never ran would count as done.
            workspace.fetch_inputs(self.stage)
            arguments.append("--pull")
        outcome = _outcome(self.follow(workspace, command, [*arguments, self.stage]))
        with workspace.dvc_locked():
            found = lockfile.entry(workspace.path, self.stage)
        if wrong := lockfile.mismatches(workspace.path, self.stage, found=found, project=self.project):
            raise AirflowException(f"{self.stage}: its lock entry is not what is on disk:\n" + "\n".join(wrong))
        stage = workspace.stages[self.stage]
        named = [lockfile.address(self.stage)[0], "params.yaml", *stage["git_outs"]]
        commit = workspace.commit(f"{self.stage}: {outcome}", named)
        if self.project.distributed:
            commit = record.share(workspace, stage=self.stage, log=self.log)
        self._read_gate(context, workspace, stage)
        return {"stage": self.stage, "outcome": outcome, "commit": commit}

    def _read_gate(self, context: Any, workspace: Workspace, stage: Mapping[str, Any]) -> None:
        verdict = stage["airflow"].get("verdict", self.verdict)
        if verdict is None:
            return
        gate = Gate.read(workspace.path, stage=self.stage, verdict=verdict, overrides=self.overrides)
        self.log.info("%s", gate.page(records=False))
        if gate.overridden_by:
            self.log.warning("the gate is closed, and let pass by the override record %s", gate.overridden_by)
        if not gate.passed:
            context["ti"].xcom_push(key="gate", value=gate.evidence())
            raise AirflowFailException(gate.reason())


def _outcome(lines: Sequence[str]) -> str:
    if any("is cached - skipping run" in line for line in lines):
        return "from the run cache"
    return "ran" if any(line.startswith("Running stage") for line in lines) else "unchanged"
