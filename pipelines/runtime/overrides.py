"""Overrides of parameters: the one way to change `params.yaml` for a run, on a laptop and under Airflow alike."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.override_rules import refused
from pipelines.runtime.params import PARAMS_FILE, YamlLoader, domain_folder, parse_yaml, read_yaml, section_of
from pipelines.runtime.sections import check_sections
from pipelines.runtime.state import write_atomic

_NOTHING = object()


def set_parameters(
    root: Path,
    changes: Mapping[str, Any],
    *,
    environment: Mapping[str, str],
    start: str | None = None,
    end: str | None = None,
) -> list[str]:
    """Change values in `params.yaml` of the checkout `root`, when the changed file is valid.

    `changes` maps dotted names or sections to values. `start` and `end` set the window of `ingest`; with `end` alone it
    starts `ingest.window_days` earlier. `environment` holds the variables that sources use. Returns one `name: old ->
    new` for each value that changed. Raises ParamsError, which names everything that is wrong, before anything is
    written.
    """
    file = root / PARAMS_FILE
    before = read_yaml(file)
    wanted = nested(changes)
    if start is not None or end is not None:  # a window of its own wins over one in the overrides
        ingest = wanted.get("ingest") or {}
        if not isinstance(ingest, dict):
            raise ParamsError(f"invalid ingest = {ingest!r}: expected a mapping of parameters")
        wanted["ingest"] = {**ingest, **_window(start, end, changes=wanted, before=before, root=root)}
    text, changed = edited(file.read_text(encoding="utf-8"), wanted)
    after = parse_yaml(text, name=PARAMS_FILE)
    if lines := refused(before, after, root=root, environment=environment):
        raise ParamsError("\n".join([f"{PARAMS_FILE} would name what a run may not, and is unchanged:", *lines]))
    moved = [name for name in after if after[name] != before.get(name)]
    check_sections(after, root=root, environment=environment, moved=moved)
    if changed:
        write_atomic(file, text.encode())
    return changed


def edit_file(file: Path, changes: Mapping[str, Any]) -> list[str]:
    """Change values in a YAML file without checking them; returns one `name: old -> new` for each that changed."""
    text, changed = edited(file.read_text(encoding="utf-8"), nested(changes))
    if changed:
        write_atomic(file, text.encode())
    return changed


def read_overrides(path: Path) -> dict[str, Any]:
    """Return the overrides in a YAML or JSON file, days as text, since DVC cannot hash YAML's own dates."""
    if not path.is_file():
        raise ParamsError(f"{path} is not a file: expected a YAML or JSON file of overrides")
    if path.suffix != ".json":  # not every JSON number is one to YAML 1.1: 2e-05 is text there
        return dict(_plain(read_yaml(path), str(path)))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ParamsError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path} holds {type(content).__name__}: expected an object of overrides")
    return dict(_plain(content, str(path)))


def parse_override(text: str) -> tuple[str, Any]:
    """Return name and value of an override written as `name=value`, the value as YAML."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ParamsError(f"invalid override {text!r}: expected name=value, for example dedupe.min_rows=50")
    try:
        return name, _plain(yaml.load(value, Loader=YamlLoader), name)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        raise ParamsError(f"invalid {name} = {value!r}: not YAML: {error}") from None


def nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides as nested mappings: `{"a.b": 1}` is `{"a": {"b": 1}}`; ParamsError when two collide."""
    result: dict[str, Any] = {}
    for name, value in changes.items():
        parts = str(name).split(".")
        if not all(parts):
            raise ParamsError(f"invalid override {name!r}: expected a dotted name such as dedupe.min_rows")
        tree = _plain(value, str(name))
        for part in reversed(parts):
            tree = {part: tree}
        _merge(result, tree)
    return result


def edited(text: str, changes: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return a YAML text with values changed, comments kept, and one `name: old -> new` for each that changed."""
    from ruamel.yaml import YAML

    editor = YAML()
    editor.width = 1 << 20
    editor.preserve_quotes = True
    editor.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    editor.representer.add_representer(
        float, lambda to, value: to.represent_scalar("tag:yaml.org,2002:float", _float(value))
    )
    content = editor.load(text)
    changed: list[str] = []
    _set(content, changes, "", changed)
    if not changed:
        return text, changed
    out = io.StringIO()
    editor.dump(content, out)
    made = out.getvalue()
    read = parse_yaml(made, name=PARAMS_FILE)
    if _overridden(parse_yaml(text, name=PARAMS_FILE), changes) != read:  # as stages read it
        raise ParamsError(
            f"these overrides cannot be written as YAML without changing other values: {'; '.join(changed)}"
        )
    return made, changed


def _overridden(tree: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(tree)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(made.get(name), dict)
        made[name] = _overridden(made[name], value) if both else value
    return made


def _float(value: float) -> str:
    """Return a float with a point: YAML 1.1, which stages read, takes `2e-05` for a text."""
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")


def _set(tree: Any, changes: Mapping[str, Any], prefix: str, changed: list[str]) -> None:
    for name, value in changes.items():
        old = tree.get(name, _NOTHING)
        if isinstance(value, dict) and isinstance(old, dict):
            if not old and hasattr(old, "fa"):
                old.fa.set_flow_style()  # `{}` stays on its line
            _set(old, value, f"{prefix}{name}.", changed)
        elif old is _NOTHING or type(old) is not type(value) or old != value:
            if old is not _NOTHING and _same(old, value):
                continue
            tree[name] = _flow(value)
            changed.append(f"{prefix}{name}: {None if old is _NOTHING else _shown(old)} -> {_shown(value)}")


def _same(old: Any, new: Any) -> bool:
    """Whether two values are one value of one type; a library's scalar types count as Python's."""
    return json.dumps(old, default=str, sort_keys=True) == json.dumps(new, default=str, sort_keys=True)


def _shown(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _flow(value: Any) -> Any:
    """Return lists and mappings in flow style, so that a value stays on its line; quote texts that YAML 1.1 retypes."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        made: Any = CommentedMap({name: _flow(item) for name, item in value.items()})
    elif isinstance(value, list):
        made = CommentedSeq([_flow(item) for item in value])
    elif isinstance(value, str):
        return value if value and plain_text(value) else DoubleQuotedScalarString(value)
    else:
        return value
    made.fa.set_flow_style()
    return made


def plain_text(value: str) -> bool:
    """Return whether YAML 1.1 and 1.2 read text without quotes as itself: letters, digits, `_ . / -` and no number."""
    return re.fullmatch(r"[A-Za-z_./][A-Za-z0-9_./-]*", value) is not None and yaml.safe_load(value) == value


def _merge(target: dict[str, Any], changes: Mapping[str, Any], prefix: str = "") -> None:
    for name, value in changes.items():
        old = target.get(name, _NOTHING)
        if isinstance(value, dict) and isinstance(old, dict):
            _merge(old, value, f"{prefix}{name}.")
        elif old is not _NOTHING and old != value:
            raise ParamsError(f"override {prefix}{name} is given twice: {old!r} and {value!r}")
        else:
            target[name] = value


def _plain(value: Any, name: str) -> Any:
    """Return a value of plain types, days as text; ParamsError names the override that is not."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, name) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ParamsError(f"invalid {name} = {value!r}: expected a finite number, text, true, false, null, list or mapping")


def _window(
    start: str | None, end: str | None, *, changes: Mapping[str, Any], before: Mapping[str, Any], root: Path
) -> dict[str, str]:
    """Return `start` and `end` of the section `ingest` for the half-open window [start, end)."""
    if end is None:
        raise ParamsError(f"START = {start!r} is given without END: expected END, the first day after the window")
    last = _day("END", end)
    if start is not None:
        first = _day("START", start)
    else:
        content = {**before, **({"domain": changes["domain"]} if "domain" in changes else {})}
        theirs = read_yaml(domain_folder(content, root=root) / PARAMS_FILE)
        days = {**section_of("ingest", ours=content, theirs=theirs), **(changes.get("ingest") or {})}.get("window_days")
        if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 100_000:
            raise ParamsError(f"invalid ingest.window_days = {days!r}: expected an integer from 1 to 100000")
        try:
            first = last - timedelta(days=days)
        except OverflowError:
            raise ParamsError(
                f"invalid ingest.window_days = {days!r}: END = {end} minus that many days is not a valid date"
            ) from None
    if first >= last:
        raise ParamsError(f"START = {first} is not before END = {last}: the window is half-open, [START, END)")
    return {"start": first.isoformat(), "end": last.isoformat()}


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ParamsError(f"invalid {name} = {text!r}: expected a day such as 2025-01-06") from None
