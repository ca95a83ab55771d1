"""End a run: record it where others find it, then leave nothing behind."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, AssetAlias

from orchestration import collect, lockfile, record
from orchestration.clone import WorkspaceError
from orchestration.process import end_all
from orchestration.workspace import Workspace

from .base import WorkspaceOperator, read_object


class RecordOperator(WorkspaceOperator):
    """Make a run replayable elsewhere: its data, then its branch and tag, then the asset event of a release."""

    def __init__(
        self, *, asset: Asset, released: tuple[str, str], result_of: str, metrics: str | None = None, **rest: Any
    ) -> None:
        self.alias = AssetAlias(f"{asset.name}-released")
        super().__init__(outlets=[self.alias], **rest)
        self.asset = asset
        self.released = released  # key and value of the release task's result that make it a promotion
        self.result_of = result_of
        self.metrics = metrics

    def execute(self, context: Any) -> dict[str, Any]:
        """Push everything; every step may run again."""
        workspace = self.workspace(context)
        workspace.restore()
        result = context["ti"].xcom_pull(task_ids=self.result_of) or {}
        key, wanted = self.released
        promoted = result.get(key) == wanted
        record.tidy(workspace)
        command = self.start(workspace, self.task_id)
        command.settle()
        lockfile.mend_rwlock(workspace.path)
        self.follow(
            workspace, command, [workspace.dvc, "--cd", str(workspace.path), "--wait-for-lock", "push", "--run-cache"]
        )
        tag = record.push(workspace, promoted=promoted)
        made = {"revision": workspace.head, "branch": workspace.branch, "tag": tag}
        if promoted:
            metrics = read_object(workspace.path / self.metrics) if self.metrics else {}
            extra = {"revision": workspace.head, "tag": tag, "version": result.get("version"), "metrics": metrics}
            context["outlet_events"][self.alias].add(self.asset, extra=extra)
            made["version"] = result.get("version")
        return made


class CleanupOperator(WorkspaceOperator):
    """Leave nothing running and, once all is recorded, nothing on disk; a failed run's workspace stays a while."""

    def __init__(self, *, keep_days: float, keep_without_changes: bool = False, **rest: Any) -> None:
        super().__init__(**rest)
        self.keep_days = keep_days
        self.keep_without_changes = keep_without_changes

    def execute(self, context: Any) -> str:
        """End what runs, remove what is recorded, and remove workspaces whose time is up."""
        workspace = self.workspace(context)
        end_all(workspace.mark(), prefix=True)
        if workspace.recorded() or (not self.keep_without_changes and _untouched(workspace)):
            workspace.remove(forget=True)
            said = "removed: its branch is at the origin, a later task brings it back"
        else:
            said = f"kept for {self.keep_days:g} days at {workspace.path}"
        expired = collect.expired(self.project, days=self.keep_days, besides=workspace.slug)
        for name in expired:
            try:
                collect.remove_expired(self.project, name)
            except WorkspaceError as error:
                self.log.warning("%s", error)
        self.log.info("workspace of this run: %s; others whose time was up: %s", said, ", ".join(expired) or "none")
        return said


def _untouched(workspace: Workspace) -> bool:
    """True when the run wrote nothing but its own `prepare` commit: there is nothing to look at."""
    made = workspace.prepared() if workspace.exists else None
    return made is not None and workspace.changes_since(made["base"]) == []
