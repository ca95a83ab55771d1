"""Run a command in the workspace, outside DVC: a release, a rollback, a measurement."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from .base import WorkspaceOperator, run_type


class CommandOperator(WorkspaceOperator):
    """Run an argument list in the workspace, outside DVC; the JSON object that it ends with is the task's result.

    The event of an asset among its outlets carries that object.
    """

    template_fields = ("arguments",)

    def __init__(self, *, arguments: Sequence[str], **rest: Any) -> None:
        super().__init__(**rest)
        self.arguments = list(arguments)

    def execute(self, context: Any) -> dict[str, Any]:
        """Settle what an earlier try left and run the command."""
        for argument in self.arguments:
            if "\0" in argument or any("\ud800" <= letter <= "\udfff" for letter in argument):
                raise AirflowFailException(f"{self.task_id}: {argument!r} is no text that a program can be given")
        workspace = self.workspace(context)
        workspace.restore()
        command = self.start(workspace, self.task_id)
        command.settle()
        result = _last_object(self.follow(workspace, command, self.arguments))
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra = result
        return result


def _last_object(lines: Sequence[str]) -> dict[str, Any]:
    """The JSON object that stands at the end of an output, or an empty one."""
    text = "\n".join(lines)
    for found in reversed(list(re.finditer(r"(?m)^\{", text))):
        try:
            value, _ = json.JSONDecoder().raw_decode(text[found.start() :])
        except ValueError:
            continue
        return value if isinstance(value, dict) else {}
    return {}


class ReleaseOperator(CommandOperator):
    """Carry out the decision of a run; a backfill never does."""

    ui_color = "#e6ffe6"

    def execute(self, context: Any) -> dict[str, Any]:
        """Run the release command, unless this run is a backfill."""
        if run_type(context) == "backfill":
            raise AirflowSkipException("a backfill never releases")
        return super().execute(context)
