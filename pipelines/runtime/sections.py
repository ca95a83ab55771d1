"""All sections of params.yaml at once: each is validated by its model before anything is written or started."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import pipelines
from pipelines.runtime.errors import ParamsError
from pipelines.runtime.params import PARAMS_FILE, Parameters, ResourceParams, StageParams, explain, nearest

PACKAGE = Path(pipelines.__path__[0])
WITHOUT_MODEL = ("domain", "owner", "simulator")
# Sections that several stages share; their models are in the library folder that uses them.
SHARED = {
    "near_duplicates": ("pipelines.text.shingles", "NearDuplicateParams"),
    "base_model": ("pipelines.models.base_model", "BaseModelParams"),
}


def check_sections(
    content: Mapping[str, Any], *, root: Path, environment: Mapping[str, str], moved: Collection[str] = ()
) -> None:
    """Raise ParamsError that lists everything in a whole params.yaml that a stage would reject later.

    For sections that `moved` it is also checked that the sources they name exist; outputs of other sections may be
    reused. `environment` holds the variables that sources use.
    """
    parameters = Parameters.of(content, root=root)
    known = section_models()
    lines = _unknown_sections(parameters, known=[*WITHOUT_MODEL, *known])
    for name, model in known.items():
        if name not in content:
            lines.append(f"  section {name} is missing in {PARAMS_FILE}: add `{name}: {{}}` or its parameters")
        else:
            lines += _wrong(parameters, name, model, environment if {name, "domain"} & {*moved} else None)
    lines += _unknown_to_simulator(parameters)
    lines += _bare_days(content)
    if lines:
        head = "would be invalid and is unchanged" if moved else "is invalid"
        raise ParamsError("\n".join([f"{PARAMS_FILE} {head}:", *lines]))


def section_models() -> dict[str, type[StageParams]]:
    """Return the model of every section that has one: `BiasGateParams` of `stages/bias_gate/params.py`."""
    return dict(_models())


def _models() -> Iterator[tuple[str, type[StageParams]]]:
    yield "resources", ResourceParams
    for name, (library, class_name) in SHARED.items():
        yield name, getattr(importlib.import_module(library), class_name)
    for file in sorted(PACKAGE.glob("*/*/params.py"), key=lambda file: file.parent.name):
        name = file.parent.name
        module = importlib.import_module(f"pipelines.{file.parent.parent.name}.{name}.params")
        model = getattr(module, f"{name.title().replace('_', '')}Params", None)
        if model is not None:
            yield name, model


def _unknown_sections(parameters: Parameters, *, known: Collection[str]) -> list[str]:
    files = ((PARAMS_FILE, parameters.ours), (f"the domain's {PARAMS_FILE}", parameters.theirs))
    return [
        f"  {file}: unknown section {name!r}: {nearest(str(name), sorted(known))}"
        for file, sections in files
        for name in sections
        if name not in known
    ]


def _wrong(
    parameters: Parameters, name: str, model: type[StageParams], environment: Mapping[str, str] | None
) -> list[str]:
    """Return what is wrong with one section; an error in a section that it shares is reported for that one only."""
    try:
        params = parameters.validated(name, model)
    except ValidationError as error:
        prefixes = tuple(f"{shared}." for shared in model.shared)
        return [line for line in explain(name, error, model=model) if not _names(line, prefixes)]
    except ParamsError as error:
        return [f"  {error}"]
    return (
        []
        if environment is None
        else [f"  {line}" for line in params.unresolved(root=parameters.root, environment=environment)]
    )


def _names(line: str, prefixes: tuple[str, ...]) -> bool:
    return any(word.startswith(prefixes) for word in line.split()[:3])


def _bare_days(content: Any, parameter: str = "") -> list[str]:
    """Return a line for each day without quotes: YAML reads it as a date, which DVC rejects without naming the fix."""
    if isinstance(content, date):
        return [f'  invalid {parameter} = {content}: expected quotes, "{content}", because DVC rejects YAML dates']
    inner = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    return [line for name, value in inner for line in _bare_days(value, f"{parameter}.{name}".lstrip("."))]


def _unknown_to_simulator(parameters: Parameters) -> list[str]:
    """Return a line for each parameter of the simulator that the domain's own section does not have."""
    try:
        parameters.section("simulator")
    except ParamsError as error:
        return [f"  {error}"]
    ours, known = parameters.ours.get("simulator") or {}, parameters.theirs.get("simulator") or {}
    return [f"  unknown parameter simulator.{name}: {nearest(name, known)}" for name in ours if name not in known]
