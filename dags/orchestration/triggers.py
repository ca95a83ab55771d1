"""Triggers of this package; importable by the triggerer, which does not look in the folder of DAG files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


def read_json(path: str) -> dict[str, Any] | None:
    """The JSON object in a file, or None while there is none that is whole."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def answers(content: dict[str, Any] | None, *, field: str | None, values: Sequence[Any] | None) -> bool:
    """True when the object is there and its (dotted) field has one of the values; without a field, when it is there."""
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
    """Fires once with the content of a JSON file that has the wanted value in a field."""

    def __init__(self, *, path: str, field: str | None, values: Sequence[Any] | None, poll_seconds: float) -> None:
        super().__init__()
        self.path = path
        self.field = field
        self.values = values
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments from which a triggerer makes this trigger again."""
        names = ("path", "field", "values", "poll_seconds")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the file again and again until it answers."""
        while True:
            content = await asyncio.to_thread(read_json, self.path)
            if answers(content, field=self.field, values=self.values):
                yield TriggerEvent(content)
                return
            await asyncio.sleep(self.poll_seconds)
