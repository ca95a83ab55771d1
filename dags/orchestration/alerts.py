"""Notify the owner: in the log, in a file of the state root, and at every address of `<PREFIX>_ALERT_ADDRESS`.

    python -m orchestration.alerts --prefix PREFIX --root CHECKOUT MESSAGE

sends a message to all of them, to try the addresses.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference
from airflow.sdk.bases.notifier import BaseNotifier

from .process import locked
from .project import Project
from .workspace import Workspace

logger = logging.getLogger(__name__)
TITLE_LETTERS = 120
# Addresses of web hooks that no service of Apprise claims receive {title, message, type} as JSON.
PLAIN = {"http://": "json://", "https://": "jsons://"}


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
    """Record an alert and send it, whole; an address that fails is logged, never raised."""
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
    facts = [f"{name}: {value}" for name, value in alert.items() if name not in ("message", "when") and value]
    title = f"{project.prefix.lower()} {more.get('kind', 'alert')}: {message.splitlines()[0][:TITLE_LETTERS]}"
    for failed in deliver(project.alert_address or "", title=title, body="\n".join([message, "", *facts])):
        logger.error("the alert could not be sent to %s", failed)
    return alert


def deliver(addresses: str, *, title: str, body: str) -> list[str]:
    """Send a message to each address, separated by spaces; return those that refused it, without their secrets."""
    if not addresses.strip():
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the services' modules, all of which are imported
        import apprise

        failed = []
        for number, address in enumerate(addresses.split(), start=1):
            service = apprise.Apprise.instantiate(address)
            if service is None and (plain := next((p for p in PLAIN if address.startswith(p)), None)):
                service = apprise.Apprise.instantiate(PLAIN[plain] + address.removeprefix(plain))
            if service is None:
                failed.append(
                    f"address {number}: expected an address of Apprise, such as mailto://, slack:// or https://"
                )
            elif not service.notify(title=title, body=body):
                failed.append(f"address {number}: {service.url(privacy=True).partition('?')[0]}")
    return failed


class OwnerNotifier(BaseNotifier):
    """A notifier for callbacks of tasks, approvals and deadlines: `message` may use the fields below in braces.

    Fields: dag_id, run_id, task_id, log_url, error (the whole message of the exception), and those of the task's result.
    `states`: only for runs in one of these states when the notifier is called. A deadline's notifier is made again in
    the triggerer, from `prefix` and `root`.
    """

    def __init__(
        self,
        *,
        project: Project | None = None,
        prefix: str = "",
        root: str = "",
        kind: str = "failed",
        message: str = "{dag_id}.{task_id}: {error}",
        states: Sequence[str] = (),
        context: Any = None,
    ) -> None:
        super().__init__(context)
        self.project = project or Project.from_environment(prefix, root=Path(root))
        self.kind = kind
        self.message = message
        self.states = tuple(states)

    def notify(self, context: Any) -> None:
        """Send the message about the context's task or run."""
        given = context["dag_run"]
        run = given if isinstance(given, dict) else {name: getattr(given, name, None) for name in ("dag_id", "run_id")}
        if run.get("dag_run_id"):
            run = {**run, "run_id": run["dag_run_id"]}
        if self.states and str(run.get("state")) not in self.states:
            return
        task, error = context.get("ti"), context.get("exception")
        dag_id, run_id = str(run["dag_id"]), str(run["run_id"])
        text = str(error or "").strip() or "the task's process ended without a message"
        result = (task.xcom_pull(task_ids=task.task_id) if task is not None and error is None else None) or {}
        names = ("task_id", "log_url")
        fields = {"dag_id": dag_id, "run_id": run_id, "error": text} | {name: getattr(task, name, "") for name in names}
        more = {name: value for name, value in fields.items() if name != "error" and value}
        send(
            self.project,
            message=self.message.format(**(result if isinstance(result, dict) else {}) | fields),
            kind=getattr(error, "kind", self.kind),
            workspace=Workspace(self.project, run_id, dag_id=dag_id).path,
            **more,
        )

    async def async_notify(self, context: Any) -> None:
        """Send in a thread: the triggerer does other things meanwhile."""
        await asyncio.to_thread(self.notify, context)


def on_failure(project: Project) -> Callable[[Any], None]:
    """Return an `on_failure_callback` for tasks: it runs when a task has failed and has no retry left."""
    return OwnerNotifier(project=project)


def deadlines(project: Project, *, queued: timedelta, ended: timedelta) -> list[DeadlineAlert]:
    """Return the deadlines of a DAG's runs: for how long they may be queued, and until when they must have ended."""

    def deadline(interval: timedelta, message: str, **more: Any) -> DeadlineAlert:
        kwargs = {"prefix": project.prefix, "root": str(project.root), "kind": "late", "message": message, **more}
        callback = AsyncCallback("orchestration.alerts.OwnerNotifier", kwargs=kwargs)
        return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, interval, callback)

    return [
        deadline(
            queued,
            f"{{dag_id}} {{run_id}} has been queued for {queued}: is {{dag_id}} paused, or busy?",
            states=["queued"],
        ),
        deadline(ended, f"{{dag_id}} {{run_id}} has not ended {ended} after it was queued"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Send a message from the command line; 1 when an address refused it or there is none."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.alerts", description=__doc__)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("message")
    given = parser.parse_args(arguments)
    addresses = Project.from_environment(given.prefix, root=given.root.resolve()).alert_address or ""
    if not addresses.strip():
        sys.stderr.write(f"no address: set {given.prefix}_ALERT_ADDRESS, see docs/on-call.md\n")
        return 1
    failed = deliver(addresses, title=f"{given.prefix.lower()} test", body=given.message)
    sys.stdout.write(("\n".join(failed) or f"sent to {len(addresses.split())} address(es)") + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
