"""JSON lines: one object per line; a key that a line lacks is null there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipelines.records.raw import refuse_columns
from pipelines.records.spelling import cell_of, whole_characters
from pipelines.runtime.errors import InputError
from pipelines.sources.accounting import Account
from pipelines.sources.chunk import Gathered, RawChunk
from pipelines.sources.text import Text

NOT_JSON = "not JSON"


def json_keys(text: Text) -> list[str]:
    """Return every key that any line has; a line, also the first, may lack some."""
    keys: dict[str, None] = {}
    lines, first, name = 0, "", text.account.file
    for block in text.blocks():
        for line in block:
            row = _object(line)
            if isinstance(row, dict):
                keys |= dict.fromkeys(row)
            elif row is not None:
                lines, first = lines + 1, first or f"{line.strip()[:60]!r}, {row}"
    if not keys and lines:
        raise InputError(
            f"{name}: none of its {lines} lines is a JSON object (the first is {first}): expected one object "
            "per line, not one array or object over many"
        )
    if not keys:
        raise InputError(f"{name} is empty: expected one JSON object per line")
    refuse_columns([whole_characters(key) for key in keys], file=name)
    return list(keys)


def read_json_lines(text: Text, *, keys: list[str], chunk_rows: int) -> Iterator[RawChunk]:
    """Yield objects, one per line."""
    account = text.account
    chunk = Gathered(account.file, [whole_characters(key) for key in keys])
    number = 0
    for block in text.blocks():
        for line in block:
            number += 1
            row = _object(line, account)
            if isinstance(row, dict):
                try:
                    chunk.add(number, [cell_of(row.get(key)) or "" for key in keys])
                except ValueError as error:
                    chunk.refuse(number, str(error), line)
            elif row is None:
                account.blank_lines += 1
            else:
                account.joined_rows += _joined(line)
                account.ends_inside_row = row.startswith(NOT_JSON) and not line.endswith(("\n", "\r"))
                chunk.refuse(number, row, line)
            if chunk.full(chunk_rows):
                yield chunk.take()
    yield chunk.take()


def _joined(line: str) -> int:
    """Return how many objects follow the first in a line that is not one object: one after the other, or a list."""
    decoder, objects, at = json.JSONDecoder(), 0, 0
    try:
        while at < len(line):
            value, end = decoder.raw_decode(line, at)
            objects += sum(isinstance(item, dict) for item in (value if isinstance(value, list) else [value]))
            at = end + len(line[end:]) - len(line[end:].lstrip(" ,\t\r\n"))
    except (ValueError, RecursionError):
        pass
    return max(objects - 1, 0)


def _object(line: str, account: Account | None = None) -> dict[str, Any] | str | None:
    """Return the object in a line, None for a blank line, or why it is not an object.

    The last one of equal keys counts, as everywhere in JSON; the account counts the others.
    """
    if not line.strip():
        return None

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs) and account is not None:
            account.notes["repeated_keys"] = account.notes.get("repeated_keys", 0) + len(pairs) - len(found)
        return found

    try:
        row = json.loads(line, object_pairs_hook=None if account is None else unique)
    except (ValueError, RecursionError) as error:
        return f"{NOT_JSON}: {error}"
    return row if isinstance(row, dict) else "not a JSON object"
