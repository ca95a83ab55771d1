"""What every task of a run has: its workspace, its command, and how a failure is told."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from orchestration import collect
from orchestration.process import Command, locked
from orchestration.project import Project
from orchestration.workspace import Workspace

FINAL = (64, 65, 66)  # exit codes that a second try cannot change: wrong parameters, a closed gate before it, bad input
SHOWN_LINES = 12
# What DVC tells a person at a terminal to do next; here it has been done.
ADVICE = ("To track the changes", "To enable auto staging", "git add ", "dvc config core.autostage", "Use `dvc push`")
DVC_SAYS = ("ERROR: failed to reproduce", "ERROR: failed to run")  # below what the stage itself said


class WorkspaceOperator(BaseOperator):
    """A task that works in the workspace of its run."""

    def __init__(self, *, project: Project, final_exit_codes: Sequence[int] = FINAL, **rest: Any) -> None:
        super().__init__(**rest)
        self.project = project
        self.final_exit_codes = tuple(final_exit_codes)
        self._command: Command | None = None

    def workspace(self, context: Any) -> Workspace:
        """The workspace of the context's run."""
        return Workspace(self.project, context["dag_run"].run_id, actor=actor(context))

    def start(self, workspace: Workspace, name: str) -> Command:
        """The command of that name in this run, with everything ended that an earlier try has left."""
        self._command = Command(mark=workspace.mark(name), folder=workspace.tasks, name=name)
        return self._command

    def follow(self, workspace: Workspace, command: Command, arguments: Sequence[str]) -> list[str]:
        """Run the command to its end and log what it says; raises with its last lines when it fails."""
        last: deque[str] = deque(maxlen=400)
        with locked(collect.guard(self.project), shared=True) as held:  # no collection while a command writes the cache
            command.start(arguments, folder=workspace.path, environment=workspace.environment(), keep=[held])
            for line in command.lines():
                if line.strip() and not line.strip().startswith(ADVICE):
                    self.log.info("%s", line)
                last.append(line)
            status = command.wait()
        if status:
            self._fail(status, list(last), arguments)
        return list(last)

    def _fail(self, status: int, lines: list[str], arguments: Sequence[str]) -> None:
        inner = [int(found[1]) for line in lines if (found := re.search(r"exited with (-?\d+)", line))]
        code = inner[-1] if inner else status
        shown = "\n".join(line for line in lines if line.strip())[-3000:].splitlines()[-SHOWN_LINES:]
        said = "\n".join(shown)
        if "No space left on device" in said or code == 74:
            said += (
                f"\nThe disk is full or refuses: free space below {self.project.home}; the next try goes on from here."
            )
        told = [line.strip() for line in shown if not line.startswith(DVC_SAYS)]
        message = f"{self.task_id}: {Path(arguments[0]).name} ended with exit code {code}"
        message += f": {told[-1][:300]}\n{said}" if told else f"\n{said}"
        raise (AirflowFailException if code in self.final_exit_codes else AirflowException)(message)

    def on_kill(self) -> None:
        """Take the command along when Airflow ends the task."""
        if self._command is not None:
            self._command.end()


def actor(context: Any) -> str:
    """Who started the context's run, for a person who reads a history: a user of Airflow, or Airflow, and the DAG."""
    run = context["dag_run"]
    return f"{getattr(run, 'triggering_user_name', None) or 'airflow'} ({run.dag_id})"


def run_type(context: Any) -> str:
    """How the context's run came about: manual, scheduled, backfill, asset_triggered."""
    kind = context["dag_run"].run_type
    return str(getattr(kind, "value", kind))


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file as an object: empty where there is none or it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {"content": found}
