"""All of params.yaml at once: every section is held to its own model before anything is written or started."""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import pipelines
from pipelines.runtime.errors import ParamsError
from pipelines.runtime.params import (
    PARAMS_FILE,
    ResourceParams,
    StageParams,
    domain_folder,
    explain,
    read_yaml,
    section_of,
)

PACKAGE = Path(pipelines.__path__[0])
WITHOUT_MODEL = ("domain", "owner", "resources", "simulator")  # sections that no folder below pipelines/ has


def check_sections(content: Mapping[str, Any], *, root: Path, moved: Collection[str] = ()) -> None:
    """Refuse (ParamsError) a whole params.yaml that some stage would refuse later; says all that is wrong at once.

    Sections that have `moved` are also asked whether what they name is there; outputs of the others may be used again.
    """
    theirs = read_yaml(domain_folder(content, root=root) / PARAMS_FILE)
    folders = (item.name for group in ("stages", "live") for item in (PACKAGE / group).iterdir())
    known = {*WITHOUT_MODEL, *(name for name in folders if name.isidentifier() and not name.startswith("__"))}
    lines = [
        f"  {file} has no section {name!r}; there are: {', '.join(sorted(known))}"
        for file, sections in ((PARAMS_FILE, content), (f"the domain's {PARAMS_FILE}", theirs))
        for name in sections
        if name not in known
    ]
    for name, model in models():
        if name not in content:
            lines.append(
                f"  section {name} is missing in {PARAMS_FILE}; `{name}: {{}}` and its parameters would be right"
            )
        else:
            lines += _wrong(
                name, model, ours=content, theirs=theirs, root=root, asked=bool({name, "domain"} & {*moved})
            )
    lines += _unknown_to_simulator(content, theirs=theirs)
    lines += _bare_days(content)
    if lines:
        head = "would be wrong, and stays as it is" if moved else "is wrong"
        raise ParamsError("\n".join([f"{PARAMS_FILE} {head}:", *lines]))


def models() -> Iterator[tuple[str, type[StageParams]]]:
    """Yield every section that has a model, with it: `BiasGateParams` of `stages/bias_gate/params.py`."""
    yield "resources", ResourceParams
    for file in sorted(PACKAGE.glob("*/*/params.py"), key=lambda file: file.parent.name):
        name = file.parent.name
        module = importlib.import_module(f"pipelines.{file.parent.parent.name}.{name}.params")
        model = getattr(module, f"{name.title().replace('_', '')}Params", None)
        if model is not None:
            yield name, model


def _wrong(
    name: str, model: type[StageParams], *, ours: Mapping[str, Any], theirs: Mapping[str, Any], root: Path, asked: bool
) -> list[str]:
    """What is wrong with one section."""
    try:
        params = model.model_validate(section_of(name, ours=ours, theirs=theirs))
    except ValidationError as error:
        return explain(name, error, model=model)
    except ParamsError as error:
        return [f"  {error}"]
    return [f"  {line}" for line in params.unresolved(root=root, environment=os.environ)] if asked else []


def _bare_days(content: Any, parameter: str = "") -> list[str]:
    """Days without quotes, which YAML reads as dates, and DVC refuses without a word on what would be right."""
    if isinstance(content, date):
        return [f'  {parameter} = {content} is a date to YAML, which DVC does not take; "{content}" would be right']
    inner = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    return [line for name, value in inner for line in _bare_days(value, f"{parameter}.{name}".lstrip("."))]


def _unknown_to_simulator(content: Mapping[str, Any], *, theirs: Mapping[str, Any]) -> list[str]:
    """The domain's own section says what parameters its simulator has."""
    try:
        section_of("simulator", ours=content, theirs=theirs)
    except ParamsError as error:
        return [f"  {error}"]
    ours, known = content.get("simulator") or {}, theirs.get("simulator") or {}
    return [f"  simulator.{name} is unknown; there are: {', '.join(known)}" for name in ours if name not in known]
