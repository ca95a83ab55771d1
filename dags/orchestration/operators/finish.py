"""End a run: record it where others find it, then remove what it no longer needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import Asset, AssetAlias, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from orchestration import collect, record
from orchestration.alerts import send
from orchestration.command import read_object
from orchestration.constants import MAX_TEXT
from orchestration.git import WorkspaceError, git
from orchestration.process import end_all
from orchestration.project import Project
from orchestration.workspace import Workspace

from .approve import REJECTED_BY
from .base import WorkspaceOperator

OUTCOMES = {"release": "released", "challenge": "released", "keep": "kept", "refuse": "refused"}
NOTHING_TO_DO = "nothing_to_do"  # XCom of a task that skipped itself; one that a person skipped has none


class RecordOperator(WorkspaceOperator):
    """Make a run reproducible elsewhere: push its data, then its branch and tag, then emit the event of a release.

    `released`: key and value in the result of the task `result_of` that make it a promotion.
    `after`: the tasks that must have run; where all of them were skipped there is nothing to record.
    """

    def __init__(
        self,
        *,
        asset: Asset,
        released: tuple[str, str] = ("action", "release"),
        result_of: str = "release",
        after: Sequence[str] = (),
        metrics: str | None = None,
        **rest: Any,
    ) -> None:
        self.alias = AssetAlias(f"{asset.name}-released")
        super().__init__(outlets=[self.alias], **rest)
        self.asset = asset
        self.released = released
        self.result_of = result_of
        self.after = list(after)
        self.metrics = metrics

    def execute(self, context: Any) -> dict[str, Any]:
        """Push everything; every step may run again."""
        if self.after and not any(context["ti"].xcom_pull(task_ids=task) for task in self.after):
            context["ti"].xcom_push(key=NOTHING_TO_DO, value=True)
            raise AirflowSkipException(f"{', '.join(self.after)} did not run: there is nothing to record")
        workspace = self.workspace(context)
        workspace.restore()
        result = context["ti"].xcom_pull(task_ids=self.result_of) or {}
        key, wanted = self.released
        promoted = result.get(key) == wanted
        record.order_stages(workspace)
        command = self.take_over(workspace, self.task_id)
        self.follow(workspace, command, workspace.dvc.arguments("push", "--run-cache"))
        tag = record.push(workspace, promoted=promoted)
        workspace.release_note.unlink(missing_ok=True)
        made: dict[str, Any] = {"revision": workspace.tree.head, "branch": workspace.branch, "tag": tag}
        if promoted:
            made["version"] = result.get("version")
            metrics = (read_object(workspace.path / self.metrics) or {}) if self.metrics else {}
            extra = {name: made[name] for name in ("revision", "tag", "version")} | {"metrics": metrics}
            context["outlet_events"][self.alias].add(self.asset, extra=extra)
        return made


@dataclass(frozen=True)
class Report:
    """The command to which a triggered run reports how it ended, as `--outcome` with `--key`, `--run-id` and others."""

    command: Sequence[str]
    decision: tuple[str, str, str]  # file, key and value of a decision that refuses the model, although a task is red
    run_id: str = "drift__{key}"  # of runs that report, with the run parameter `key`
    outcomes: Mapping[str, str] = field(default_factory=lambda: dict(OUTCOMES))  # by the action in that result
    result_of: str = "release"
    approval: str = "approve"

    def options(self, context: Any, workspace: Workspace, *, key: str) -> list[str]:
        """Return the options that state how the context's run ended."""
        ti, run = context["ti"], context["dag_run"]
        outcome, why, version = self.ended(context, workspace)
        crumbs = ti.get_task_breadcrumbs(dag_id=run.dag_id, run_id=run.run_id)
        seconds = sum(float(task.get("duration") or 0) for task in crumbs if task.get("task_id") != self.approval)
        given = {"key": key, "run-id": run.run_id, "outcome": outcome, "minutes": round(seconds / 60, 2)}
        given |= {"why": why[:MAX_TEXT]}
        given |= {"model-version": int(version)} if outcome == "released" and version else {}
        return [f"--{name}={value}" for name, value in given.items()]

    def ended(self, context: Any, workspace: Workspace) -> tuple[str, str, Any]:
        """Return the outcome of the context's run, why, and the version that it released."""
        ti, run = context["ti"], context["dag_run"]
        states = ti.get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
        file, name, refused = self.decision
        if who := ti.xcom_pull(task_ids=self.approval, key=REJECTED_BY):
            return "refused", f"rejected by {who}", None
        if failed := sorted(task for task, state in states.items() if state == "failed"):
            decided = (read_object(workspace.path / file) or {}).get(name) == refused
            return ("refused" if decided else "failed"), f"failed: {', '.join(failed)}", None
        result = ti.xcom_pull(task_ids=self.result_of) or {}
        if outcome := self.outcomes.get(str(result.get("action"))):
            return outcome, str(result.get("reason") or ""), result.get("version")
        return "failed", f"stopped before {self.result_of}: {states.get(self.result_of) or 'it did not start'}", None


class OutcomeOperator(BaseOperator):
    """State how the run ended; red unless every task of `required` succeeded and no person rejected the release.

    The last teardown: it runs also when a person marks the run as failed, which skips every other task that waits, so
    that the run would count as a success.
    """

    def __init__(
        self, *, required: Sequence[str], approval: str | None = None, project: Project | None = None, **rest: Any
    ) -> None:
        super().__init__(retries=0, on_failure_callback=None, **rest)  # the task that failed has notified the owner
        self.project = project
        self.required = list(required)
        self.approval = approval

    def execute(self, context: Any) -> str:
        """Return the outcome; AirflowFailException when the run failed, was stopped or was rejected."""
        ti, run = context["ti"], context["dag_run"]
        found = ti.get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
        own = {self.task_id, *self.upstream_task_ids}  # a workspace that could not be removed changes no outcome
        states = {task: state for task, state in found.items() if task not in own}
        if failed := sorted(task for task, state in states.items() if state == "failed"):
            raise AirflowFailException(f"failed: {', '.join(failed)}")
        if self.approval and (who := ti.xcom_pull(task_ids=self.approval, key=REJECTED_BY)):
            raise self._notified(run, f"rejected by {who}")
        for task in self.required:
            if states.get(task) != "success" and not ti.xcom_pull(task_ids=task, key=NOTHING_TO_DO):
                raise self._notified(run, f"stopped before {task}: {states.get(task) or 'it did not start'}")
        return "ended as it should"

    def _notified(self, run: Any, why: str) -> AirflowFailException:
        """Notify the owner of an end that no failed task has reported."""
        if self.project:
            message = f"{run.dag_id} {run.run_id}: {why}"
            send(self.project, message=message, kind="failed", dag_id=run.dag_id, run_id=run.run_id)
        return AirflowFailException(why)


class CleanupOperator(WorkspaceOperator):
    """End the run's processes and, once everything is recorded, remove its workspace.

    The workspace of a failed run is kept for `keep_days`. `report`: where a run that an event caused reports its end.
    """

    def __init__(
        self, *, keep_days: float, keep_without_changes: bool = False, report: Report | None = None, **rest: Any
    ) -> None:
        super().__init__(**rest)
        self.keep_days = keep_days
        self.keep_without_changes = keep_without_changes
        self.report = report

    def execute(self, context: Any) -> str:
        """End what runs, report, remove what is recorded, and remove workspaces whose time is up."""
        workspace = self.workspace(context)
        end_all(workspace.mark(), prefix=True)
        key = context["params"].get("key")
        if self.report and key and context["dag_run"].run_id == self.report.run_id.format(key=key):
            if workspace.tree.exists or workspace.tree.has_branch():
                workspace.restore()
                arguments = [*self.report.command, *self.report.options(context, workspace, key=key)]
                self.follow(workspace, self.take_over(workspace, f"{self.task_id}.report"), arguments)
            else:
                self.log.warning("this run was never prepared: the DAG that triggered it finds out how it ended")
        if workspace.tree.pushed() or (not self.keep_without_changes and _untouched(workspace)):
            workspace.remove(forget=True)
            outcome = "removed: its branch is at the origin, and a later task restores it"
        else:
            outcome = f"kept for {self.keep_days:g} days at {workspace.path}"
        expired = collect.expired(self.project, days=self.keep_days, keep=workspace.slug)
        for name in expired:
            try:
                collect.remove_expired(self.project, name)
            except WorkspaceError as error:
                self.log.warning("%s", error)
        self.log.info("workspace of this run: %s; expired workspaces: %s", outcome, ", ".join(expired) or "none")
        return outcome


def _untouched(workspace: Workspace) -> bool:
    """Return True when the run changed nothing after `prepare`: its workspace has nothing to inspect."""
    made = workspace.prepared() if workspace.tree.exists else None
    return made is not None and not git(workspace.path, "diff", "--name-only", made["base"], "HEAD")
