"""Triggers; they are in this package because the triggerer does not import from the folder of DAG files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from .command import read_object


def read_json(path: str) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None while the file is missing or incomplete."""
    return read_object(Path(path))


def matches(content: dict[str, Any] | None, *, field: str | None, values: Sequence[Any] | None) -> bool:
    """Return True when the (dotted) field of an object has one of the values; without a field, when there is an
    object.
    """
    if content is None:
        return False
    if field is None:
        return True
    found: Any = content
    for name in field.split("."):
        if not isinstance(found, dict) or name not in found:
            return False
        found = found[name]
    return values is None or found in values


class JsonFileTrigger(BaseTrigger):
    """Fire once, with the content of a JSON file, when one of its fields has a wanted value."""

    def __init__(self, *, path: str, field: str | None, values: Sequence[Any] | None, poll_seconds: float) -> None:
        super().__init__()
        self.path = path
        self.field = field
        self.values = values
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and arguments from which a triggerer recreates this trigger."""
        names = ("path", "field", "values", "poll_seconds")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Read the file every `poll_seconds` until it matches."""
        while True:
            content = await asyncio.to_thread(read_json, self.path)
            if matches(content, field=self.field, values=self.values):
                yield TriggerEvent(content)
                return
            await asyncio.sleep(self.poll_seconds)
