"""Every parameter with its value, where the value comes from, what is accepted and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.params import PARAMS_FILE, Parameters, StageParams, nearest
from pipelines.runtime.sections import section_models

BOUNDS = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"), ("min_length", "length >="), ("pattern", "pattern"))


@dataclass(frozen=True)
class Row:
    """One parameter of a checkout."""

    name: str  # dotted, as in params.yaml
    value: Any  # the value that a run uses
    source: str  # "params.yaml", "domain" or "default"
    default: Any  # of the model; None when a file has to state the value
    accepted: str
    description: str


def list_parameters(parameters: Parameters, section: str | None = None) -> list[Row]:
    """Return a row per parameter of one section, or of all; ParamsError names the nearest section if it is unknown."""
    models = section_models()
    if section is not None and section not in models:
        raise ParamsError(f"unknown section {section!r}: {nearest(section, sorted(models))}")
    return [
        row
        for name, model in models.items()
        if section in (None, name)
        for row in _rows(model, name, parameters.ours.get(name), parameters.theirs.get(name))
    ]


def _rows(model: type[StageParams], prefix: str, ours: Any, theirs: Any) -> Iterator[Row]:
    for key, field in model.model_fields.items():
        if key in model.shared:
            continue
        name, mine, other = f"{prefix}.{key}", _inner(ours, key), _inner(theirs, key)
        if isinstance(field.annotation, type) and issubclass(field.annotation, StageParams):
            yield from _rows(field.annotation, name, mine, other)
        else:
            yield _row(name, field, mine, other)


def _row(name: str, field: FieldInfo, mine: Any, other: Any) -> Row:
    default = None if field.is_required() else field.default
    found = [(value, source) for value, source in ((mine, PARAMS_FILE), (other, "domain")) if value is not None]
    value, source = found[0] if found else (default, PARAMS_FILE if field.is_required() else "default")
    return Row(name, value, source, default, accepted(field), field.description or "")


def accepted(field: FieldInfo) -> str:
    """Return the type of a parameter and its limits, for example `integer >= 1 <= 20`."""
    limits = [
        f"{sign} {getattr(item, attribute)}"
        for item in field.metadata
        for attribute, sign in BOUNDS
        if getattr(item, attribute, None) is not None
    ]
    return " ".join([_type_name(field.annotation), *limits])


def _type_name(kind: Any) -> str:
    names = {bool: "true or false", int: "integer", float: "number", str: "text", date: "day", type(None): "null"}
    if kind in names:
        return names[kind]
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (list, tuple):
        return f"list of {_type_name(inner[0])}" if inner else "list"
    if origin is dict:
        return "mapping"
    if inner and all(isinstance(item, str) for item in inner):
        return " | ".join(inner)
    return " | ".join(_type_name(item) for item in inner if not hasattr(item, "metadata")) or "value"


def _inner(content: Any, key: str) -> Any:
    return content.get(key) if isinstance(content, Mapping) else None
