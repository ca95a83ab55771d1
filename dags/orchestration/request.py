"""What a run was asked for: its parameters, checked as data before anything is done with them."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import Param

# A branch, a tag or a commit. Narrower than git's own rule: no leading dash, no `..`, no `@{`, nothing a shell knows.
REF = r"^[A-Za-z0-9](?:[A-Za-z0-9_+-]|[./](?=[A-Za-z0-9_+-])){0,199}\Z"
KEY = r"^[A-Za-z0-9](?:[A-Za-z0-9_+:-]|[.](?=[A-Za-z0-9_+:-])){0,199}\Z"
KNOB = r"^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\Z"
MOST_BYTES, MOST_LEVELS = 50_000, 20
DATE = r"^\d{4}-\d{2}-\d{2}\Z"


class RequestError(ValueError):
    """A run parameter is not what it may be; the message names it, its value and what would be right."""


def run_params() -> dict[str, Param]:
    """Parameters of a run for a DAG's `params`: the form that Airflow shows, and the schema that its API checks."""
    optional = ["null", "string"]
    # Python's \Z is $ in JSON schema's dialect; the Python check is made again when the run starts.
    ref, key = (pattern.replace(r"\Z", "$") for pattern in (REF, KEY))
    return {
        "ref": Param(
            None,
            type=optional,
            pattern=ref,
            title="Git ref",
            description="Branch, tag or commit to run. Empty: the commit that these DAGs come from.",
        ),
        "start": Param(
            None,
            type=optional,
            format="date",
            title="Window start",
            description="First day of the window. Empty: the window's length before its end.",
        ),
        "end": Param(
            None,
            type=optional,
            format="date",
            title="Window end",
            description="Day after the window's last. Empty: the window of the parameter file.",
        ),
        "overrides": Param(
            {},
            type=["null", "object"],
            title="Parameter overrides",
            description='Knobs of this run only, e.g. {"dedupe.threshold": 0.9}. They must exist.',
        ),
        "reason": Param(
            None, type=optional, maxLength=1000, title="Reason", description="Why this run; it is recorded with it."
        ),
        "approval": Param(
            False, type="boolean", title="Ask for approval", description="A person has to approve before the release."
        ),
        "key": Param(
            None,
            type=optional,
            pattern=key,
            title="Cause",
            description="Key of what caused the run, set by whatever triggered it.",
        ),
    }


@dataclass(frozen=True)
class Request:
    """The checked parameters of one run."""

    ref: str | None = None
    start: dt.date | None = None
    end: dt.date | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    approval: bool = False
    key: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Request:
        """Check raw run parameters; an unknown one is refused too, since it is most likely a misspelt one."""
        known = cls.__dataclass_fields__
        if unknown := set(given) - set(known):
            raise RequestError(f"unknown run parameters: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        request = cls(
            ref=_matching("ref", given.get("ref"), REF, "a branch, tag or commit of plain letters, digits and ._/+-"),
            start=_date("start", given.get("start")),
            end=_date("end", given.get("end")),
            overrides=_overrides(given.get("overrides")),
            reason=_text("reason", given.get("reason")),
            approval=_boolean("approval", given.get("approval")),
            key=_matching("key", given.get("key"), KEY, "letters, digits and ._:+-"),
        )
        if request.start and not request.end:
            raise RequestError(f"start = {request.start} stands without an end; give both, or the end alone")
        if request.start and request.end and request.start >= request.end:
            raise RequestError(f"start = {request.start} is not before end = {request.end}")
        return request


def _matching(name: str, value: Any, pattern: str, right: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not re.match(pattern, value) or value.endswith(".lock"):
        raise RequestError(f"{name} = {value!r} is refused; right would be {right}")
    return value


def _date(name: str, value: Any) -> dt.date | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and re.match(DATE, value):
            return dt.date.fromisoformat(value)
    except ValueError:
        pass
    raise RequestError(f"{name} = {value!r} is no day; right would be YYYY-MM-DD")


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 1000:
        raise RequestError(f"{name} = {value!r} is refused; right would be a text of at most 1000 characters")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())


def _boolean(name: str, value: Any) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise RequestError(f"{name} = {value!r} is refused; right would be true or false")
    return value


def _overrides(value: Any) -> dict[str, Any]:
    """Checked overrides; they travel in a commit message, so there is an end to their size."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())  # half a surrogate pair is no text
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"overrides: no plain values: {error}") from None
    if size > MOST_BYTES or _depth(value) > MOST_LEVELS:
        raise RequestError(
            f"overrides of {size} bytes are refused; right would be at most {MOST_BYTES}, {MOST_LEVELS} levels deep"
        )
    return _knobs(value)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _knobs(value: Any) -> dict[str, Any]:
    """Overrides as {dotted path: value}; nested objects mean the same as dotted paths."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"overrides = {value!r} is refused; right would be an object of knobs and values")
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        if not isinstance(name, str) or not re.match(KNOB, name):
            raise RequestError(f"overrides: {name!r} is no knob; right would be section.knob")
        if isinstance(inner, dict) and inner:
            flat |= {f"{name}.{below}": deeper for below, deeper in _knobs(inner).items()}
        else:
            flat[name] = inner
    return flat
