"""What every task of a run has: its workspace, its command, and an error message that explains a failure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from orchestration import collect
from orchestration.command import Command
from orchestration.constants import DISK_EXIT_CODE, FINAL_EXIT_CODES, LOG_LINES
from orchestration.process import locked
from orchestration.project import Project
from orchestration.workspace import Workspace

# Hints that DVC prints for a person at a terminal; the tasks have done these things.
HINTS = ("To track the changes", "To enable auto staging", "git add ", "dvc config core.autostage", "Use `dvc push`")
DVC_ERRORS = ("ERROR: failed to reproduce", "ERROR: failed to run")  # printed after the stage's own error


class WorkspaceOperator(BaseOperator):
    """A task that works in the workspace of its run."""

    def __init__(self, *, project: Project, final_exit_codes: Sequence[int] = FINAL_EXIT_CODES, **rest: Any) -> None:
        super().__init__(**rest)
        self.project = project
        self.final_exit_codes = tuple(final_exit_codes)
        self._command: Command | None = None

    def workspace(self, context: Any) -> Workspace:
        """Return the workspace of the context's run."""
        run = context["dag_run"]
        return Workspace(self.project, run.run_id, dag_id=run.dag_id, actor=actor(context))

    def take_over(self, workspace: Workspace, name: str) -> Command:
        """Return the command of that name in this run, after everything that an earlier try left has ended."""
        self._command = Command(mark=workspace.mark(name), folder=workspace.tasks, name=name)
        self._command.settle()
        return self._command

    def follow(self, workspace: Workspace, command: Command, arguments: Sequence[str]) -> None:
        """Run the command to its end and log its output.

        Raises AirflowException with the last lines when it fails, AirflowFailException (no retry) for a final exit
        code.
        """
        last: deque[str] = deque(maxlen=400)
        environment = workspace.shell.environment() | {self.project.result_variable: str(command.result_file)}
        with locked(collect.guard(self.project), shared=True) as held:  # no collection while a command writes the cache
            command.start(arguments, folder=workspace.path, environment=environment, keep=[held])
            for line in command.lines():
                if line.strip() and not line.strip().startswith(HINTS):
                    self.log.info("%s", line)
                last.append(line)
            status = command.wait()
        if status:
            self._fail(status, list(last), arguments)

    def _fail(self, status: int, lines: list[str], arguments: Sequence[str]) -> None:
        # DVC ends with a code of its own and passes a stage's exit code on in its message only.
        inner = [int(found[1]) for line in lines if (found := re.search(r"exited with (-?\d+)", line))]
        code = inner[-1] if inner else status
        shown = "\n".join(line for line in lines if line.strip())[-3000:].splitlines()[-LOG_LINES:]
        text = "\n".join(shown)
        if "No space left on device" in text or code == DISK_EXIT_CODE:
            text += f"\nThe disk is full or not writable: free space below {self.project.home}; the next try continues."
        own = [line.strip() for line in shown if not line.startswith(DVC_ERRORS)]
        message = f"{self.task_id}: {Path(arguments[0]).name} ended with exit code {code}"
        message += f": {own[-1][:300]}\n{text}" if own else f"\n{text}"
        raise (AirflowFailException if code in self.final_exit_codes else AirflowException)(message)

    def on_kill(self) -> None:
        """End the command when Airflow ends the task."""
        if self._command is not None:
            self._command.end()


def actor(context: Any) -> str:
    """Return who started the context's run, for a history that people read: a user or Airflow, and the DAG."""
    run = context["dag_run"]
    return f"{getattr(run, 'triggering_user_name', None) or 'airflow'} ({run.dag_id})"


def run_type(context: Any) -> str:
    """Return how the context's run was created: manual, scheduled, backfill, asset_triggered."""
    kind = context["dag_run"].run_type
    return str(getattr(kind, "value", kind))
