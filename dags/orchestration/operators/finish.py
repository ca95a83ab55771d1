"""End a run: record it where others find it, then remove what it no longer needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Asset, AssetAlias, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from orchestration import collect, record
from orchestration.command import read_object
from orchestration.git import WorkspaceError, git
from orchestration.process import end_all
from orchestration.workspace import Workspace

from .approve import REJECTED_BY
from .base import WorkspaceOperator

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
        released: tuple[str, str],
        result_of: str,
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


class OutcomeOperator(BaseOperator):
    """State how the run ended; red unless every task of `required` succeeded and no person rejected the release.

    The last teardown: it runs also when a person marks the run as failed, which skips every other task that waits, so
    that the run would count as a success.
    """

    def __init__(self, *, required: Sequence[str], approval: str | None = None, **rest: Any) -> None:
        super().__init__(retries=0, on_failure_callback=None, **rest)  # the task that failed has notified the owner
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
            raise AirflowFailException(f"rejected by {who}")
        for task in self.required:
            if states.get(task) != "success" and not ti.xcom_pull(task_ids=task, key=NOTHING_TO_DO):
                raise AirflowFailException(f"stopped before {task}: {states.get(task) or 'it did not start'}")
        return "ended as it should"


class CleanupOperator(WorkspaceOperator):
    """End the run's processes and, once everything is recorded, remove its workspace.

    The workspace of a failed run is kept for `keep_days`.
    """

    def __init__(self, *, keep_days: float, keep_without_changes: bool = False, **rest: Any) -> None:
        super().__init__(**rest)
        self.keep_days = keep_days
        self.keep_without_changes = keep_without_changes

    def execute(self, context: Any) -> str:
        """End what runs, remove what is recorded, and remove workspaces whose time is up."""
        workspace = self.workspace(context)
        end_all(workspace.mark(), prefix=True)
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
