"""Sensors that wait for a verdict without occupying a worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator

from .triggers import JsonFileTrigger, matches, read_json


class JsonVerdictSensor(BaseSensorOperator):
    """Wait until a JSON file exists and one of its fields has a wanted value; the result is the file's content.

    `JsonVerdictSensor(task_id="breach", path="/state/{{ params.key }}.json", field="passed", values=[False])`
    """

    template_fields = ("path",)

    def __init__(
        self,
        *,
        path: str,
        field: str | None = None,
        values: Sequence[Any] | None = None,
        poll_seconds: float = 15.0,
        deferrable: bool = True,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self.path = path
        self.field = field
        self.values = list(values) if values is not None else None
        self.poll_seconds = poll_seconds
        self.deferrable = deferrable

    def poke(self, context: Any) -> bool:
        """Return True when the file has the wanted value now."""
        return matches(read_json(self.path), field=self.field, values=self.values)

    def execute(self, context: Any) -> Any:
        """Return at once where possible, else wait in the triggerer."""
        content = read_json(self.path)
        if matches(content, field=self.field, values=self.values):
            return content
        if not self.deferrable:
            super().execute(context)
            return read_json(self.path)
        trigger = JsonFileTrigger(path=self.path, field=self.field, values=self.values, poll_seconds=self.poll_seconds)
        return self.defer(trigger=trigger, method_name="complete", timeout=timedelta(seconds=self.timeout))

    def complete(self, context: Any, event: Any = None) -> Any:
        """Return the content that the trigger found."""
        return event
