"""What a run was asked for: its parameters, checked as data before anything is done with them."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk import Param

from .constants import MAX_REQUEST_BYTES, MAX_REQUEST_LEVELS, MAX_TEXT

# A branch, a tag or a commit. Narrower than git's own rule: no leading dash, no `..`, no `@{`, nothing a shell knows.
REF = r"^[A-Za-z0-9](?:[A-Za-z0-9_+-]|[./](?=[A-Za-z0-9_+-])){0,199}\Z"
KEY = r"^[A-Za-z0-9](?:[A-Za-z0-9_+:-]|[.](?=[A-Za-z0-9_+:-])){0,199}\Z"
PARAMETER = r"^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\Z"
DATE = r"^\d{4}-\d{2}-\d{2}\Z"
# What may be part of a command without a meaning for a shell; no leading dash, which would be an option.
PLAIN = r"[A-Za-z0-9_./:@%+=,][A-Za-z0-9_./:@%+=,-]*\Z"
EXAMPLE = {"dedupe.max_removed_share": 0.5}  # shown in the form; a test applies it to the real params.yaml


class RequestError(ValueError):
    """A run parameter is invalid; the message names it, its value and what is accepted."""


def run_params() -> dict[str, Param]:
    """Return the `params` of a training DAG: the form that Airflow shows, and the schema that its API checks."""
    optional = ["null", "string"]
    # Python's \Z is $ in JSON schema's dialect; the Python check is made again when the run starts.
    ref, key = (pattern.replace(r"\Z", "$") for pattern in (REF, KEY))
    ref_text = "Branch, tag or commit to run. Default: the commit of the deployed DAGs."
    start_text = "First day of the window. Default: `ingest.window_days` before the end."
    end_text = "First day after the window. Default: the window in params.yaml."
    overrides_text = (
        f"Parameters for this run only, for example {json.dumps(EXAMPLE)}. "
        "Names are those of params.yaml; an unknown name or an invalid value fails the run in `prepare`."
    )
    reason_text = "Why this run is started. Recorded with the run."
    approval_text = "Wait for a person's approval before the release."
    key_text = "Key of the event that caused the run. Set by the DAG that triggers it."
    return {
        "ref": Param(None, type=optional, pattern=ref, title="Git ref", description=ref_text),
        "start": Param(None, type=optional, format="date", title="Window start", description=start_text),
        "end": Param(None, type=optional, format="date", title="Window end", description=end_text),
        "overrides": Param({}, type=["null", "object"], title="Parameter overrides", description=overrides_text),
        "reason": Param(None, type=optional, maxLength=MAX_TEXT, title="Reason", description=reason_text),
        "approval": Param(False, type="boolean", title="Require approval", description=approval_text),
        "key": Param(None, type=optional, pattern=key, title="Cause", description=key_text),
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
        """Check raw run parameters; RequestError on an invalid value or an unknown name."""
        known = cls.__dataclass_fields__
        if unknown := set(given) - set(known):
            raise RequestError(f"unknown run parameters {', '.join(sorted(unknown))}: expected {', '.join(known)}")
        request = cls(
            ref=_matching("ref", given.get("ref"), REF, "a branch, tag or commit of letters, digits and ._/+-"),
            start=_date("start", given.get("start")),
            end=_date("end", given.get("end")),
            overrides=_overrides(given.get("overrides")),
            reason=_text("reason", given.get("reason")),
            approval=_boolean("approval", given.get("approval")),
            key=_matching("key", given.get("key"), KEY, "letters, digits and ._:+-"),
        )
        if request.start and not request.end:
            raise RequestError(f"start = {request.start} has no end: give both, or only the end")
        if request.start and request.end and request.start >= request.end:
            raise RequestError(f"start = {request.start} is not before end = {request.end}")
        return request


def templated_overrides(overrides: Mapping[str, Any], *, templated: Sequence[str]) -> list[str]:
    """Return the overrides that change the graph itself because `dvc.yaml` names them in `${...}`.

    DVC writes their values into commands, which a shell reads, so they must be plain: RequestError for any other value.
    All other overrides reach nothing but the parameter file.
    """
    names = [re.split(r"[.\[\]]+", name) for name in templated]
    found = [parameter for parameter in overrides if any(_related(parameter.split("."), name) for name in names)]
    for parameter in found:
        for text in _texts(overrides[parameter]):
            if text and not re.match(PLAIN, text):
                raise RequestError(
                    f"invalid override {parameter} = {overrides[parameter]!r}: dvc.yaml writes it into a command; "
                    "expected letters, digits and ._/:@%+=,- without a leading dash"
                )
    return found


def _related(one: Sequence[str], other: Sequence[str]) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def _matching(name: str, value: Any, pattern: str, expected: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not re.match(pattern, value) or value.endswith(".lock"):
        raise RequestError(f"invalid {name} = {value!r}: expected {expected}")
    return value


def _date(name: str, value: Any) -> dt.date | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and re.match(DATE, value):
            return dt.date.fromisoformat(value)
    except ValueError:
        pass
    raise RequestError(f"invalid {name} = {value!r}: expected a date, YYYY-MM-DD")


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise RequestError(f"invalid {name} = {value!r}: expected a text of at most {MAX_TEXT} characters")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())


def _boolean(name: str, value: Any) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise RequestError(f"invalid {name} = {value!r}: expected true or false")
    return value


def _overrides(value: Any) -> dict[str, Any]:
    """Return checked overrides; their size is limited because they travel in a commit message."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())  # fails on half a surrogate pair
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"invalid overrides: expected JSON values: {error}") from None
    if size > MAX_REQUEST_BYTES or _depth(value) > MAX_REQUEST_LEVELS:
        limits = f"at most {MAX_REQUEST_BYTES} bytes and {MAX_REQUEST_LEVELS} levels"
        raise RequestError(f"invalid overrides of {size} bytes: expected {limits}")
    return _flat(value)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _flat(value: Any) -> dict[str, Any]:
    """Return overrides as {dotted name: value}; nested objects mean the same as dotted names."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"invalid overrides = {value!r}: expected an object of parameter names and values")
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        if not isinstance(name, str) or not re.match(PARAMETER, name):
            raise RequestError(f"invalid name {name!r} in overrides: expected section.parameter")
        if isinstance(inner, dict) and inner:
            flat |= {f"{name}.{below}": deeper for below, deeper in _flat(inner).items()}
        else:
            flat[name] = inner
    return flat
