"""Notify the owner that a task has failed: in the log, in a file of the state root, and by a web hook if one is set."""

from __future__ import annotations

import json
import logging
import os
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from .process import locked
from .project import Project
from .workspace import Workspace

logger = logging.getLogger(__name__)


def owner(project: Project, workspace: Path | None = None) -> str:
    """Return who is responsible for the pipeline: `owner` of the run's own params.yaml, else of the checkout's."""
    for folder in filter(None, (workspace, project.root)):
        try:
            found = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8")).get("owner")
        except (OSError, ValueError, AttributeError, yaml.YAMLError):
            continue
        if found:
            return str(found)
    return "unknown (no `owner` in params.yaml)"


def send(project: Project, *, message: str, workspace: Path | None = None, **more: Any) -> dict[str, Any]:
    """Record an alert and send it; a web hook that fails is logged, never raised."""
    alert: dict[str, Any] = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "owner": owner(project, workspace),
        "message": message,
    }
    alert |= {"workspace": str(workspace) if workspace else None, **more}
    logger.error("ALERT for %s: %s", alert["owner"], message)
    file = project.home / "alerts.jsonl"
    with locked(file.with_name(".alerts.jsonl.lock")), file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(alert, sort_keys=True, default=str) + "\n")
        lines.flush()
        os.fsync(lines.fileno())
    if (address := project.alert_address) and address.startswith(("http://", "https://")):
        body = json.dumps(alert, default=str).encode()
        try:
            request = urllib.request.Request(address, data=body, headers={"Content-Type": "application/json"})  # noqa: S310
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310  http and https only, see above
        except OSError as error:
            logger.warning("the alert could not be sent to %s: %s", address, error)
    return alert


def on_failure(project: Project) -> Callable[[Any], None]:
    """Return an `on_failure_callback` for tasks: it runs when a task has failed and has no retry left."""

    def notify_owner(context: Any) -> None:
        task, error = context["ti"], context.get("exception")
        first = str(error or "the task's process ended without a message").strip().splitlines()
        send(
            project,
            message=f"{task.dag_id}.{task.task_id}: {first[0] if first else type(error).__name__}",
            run_id=task.run_id,
            dag_id=task.dag_id,
            task_id=task.task_id,
            workspace=Workspace(project, task.run_id, dag_id=task.dag_id).path,
        )

    return notify_owner
