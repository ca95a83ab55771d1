"""Parameters: `params.yaml` over the domain's `params.yaml`, validated by a frozen model with no defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.runtime.errors import ParamsError

PARAMS_FILE = "params.yaml"


class StageParams(BaseModel):
    """Parameters of one stage: frozen, unknown keys refused, every value stated in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def unresolved(self, *, root: Path, environment: Mapping[str, str]) -> list[str]:
        """What the parameters name outside the repository and is not there, a line each; most stages name nothing."""
        return []


Model = TypeVar("Model", bound=StageParams)


class ResourceParams(StageParams):
    """params.yaml: resources."""

    threads: int = Field(ge=1)  # threads of every numeric library; another number may change bytes
    seed: int = Field(ge=0)  # root of every random generator


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C one where there is one
    """YAML in which a key that stands twice is an error: else the first one's values vanish."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys differ."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping; ParamsError names the file and the line where it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(
            f"{path} is missing; run from the repository root, with a domain that has one (docs/your-own-domain.md)"
        ) from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not readable as YAML: {error}") from None
    return parse_yaml(text, name=str(path))


def parse_yaml(text: str, *, name: str) -> dict[str, Any]:
    """The mapping that a YAML text holds; ParamsError gives it `name` and says the line where it is none."""
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        raise ParamsError(f"{name} is not readable as YAML: {error}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{name} holds {type(content).__name__}; a mapping of sections would be right")
    return content


def domain_path(root: Path | None = None) -> Path:
    """Folder of the domain that `params.yaml: domain` names, relative to the repository root or absolute."""
    root = root or Path.cwd()
    return domain_folder(read_yaml(root / PARAMS_FILE), root=root)


def domain_folder(content: Mapping[str, Any], *, root: Path) -> Path:
    """Folder of the domain that `content`, a whole params.yaml, names."""
    value = content.get("domain")
    if not isinstance(value, str) or not value:
        raise ParamsError(f"{PARAMS_FILE}: domain = {value!r}; the path of a domain folder would be right")
    folder = (root / value).resolve()
    if not folder.is_dir():
        raise ParamsError(f"{PARAMS_FILE}: domain = {value!r}: there is no folder {folder}")
    return folder


def overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with every value of `over` that is not null laid over it, mappings key by key."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = overlay(merged[key], value)
        elif value is not None or key not in merged:
            merged[key] = value
    return merged


@dataclass(frozen=True)
class Parameters:
    """The whole content of `params.yaml` and of the domain's `params.yaml`, read once per process."""

    root: Path
    ours: Mapping[str, Any]  # params.yaml
    theirs: Mapping[str, Any]  # the domain's params.yaml
    domain_folder: Path  # absolute

    @classmethod
    def read(cls, root: Path) -> Parameters:
        """Read both files below the checkout `root`; ParamsError names the file and the line that is wrong."""
        ours = read_yaml(root / PARAMS_FILE)
        folder = domain_folder(ours, root=root)
        return cls(root=root, ours=ours, theirs=read_yaml(folder / PARAMS_FILE), domain_folder=folder)

    def section(self, name: str) -> dict[str, Any]:
        """Return the effective section: the domain's values, overridden by all values in `params.yaml` but null."""
        return section_of(name, ours=self.ours, theirs=self.theirs)

    def load(self, name: str, model: type[Model]) -> Model:
        """Return a section as its model; ParamsError lists every parameter that is missing, unknown or out of range."""
        try:
            return model.model_validate(self.section(name))
        except ValidationError as error:
            raise ParamsError("\n".join([f"{PARAMS_FILE} is wrong:", *explain(name, error, model=model)])) from None


def section(name: str, root: Path | None = None) -> dict[str, Any]:
    """The effective section `name`: the domain's, overlaid by every value in `params.yaml` that is not null."""
    root = root or Path.cwd()
    return section_of(name, ours=read_yaml(root / PARAMS_FILE), theirs=read_yaml(domain_path(root) / PARAMS_FILE))


def section_of(name: str, *, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The effective section `name` of a whole params.yaml over a whole domain's."""
    for file, content in ((PARAMS_FILE, ours), (f"the domain's {PARAMS_FILE}", theirs)):
        if not isinstance(content.get(name) or {}, dict):
            raise ParamsError(f"{file}: {name} = {content[name]!r}; a mapping of parameters would be right")
    return overlay(theirs.get(name) or {}, ours.get(name) or {})


def load_params(name: str, model: type[Model], root: Path | None = None) -> Model:
    """Section `name` as a `model`; ParamsError lists every parameter that is missing, unknown or out of range."""
    values = section(name, root)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ParamsError("\n".join([f"{PARAMS_FILE} is wrong:", *explain(name, error, model=model)])) from None


def load_resources(root: Path | None = None) -> ResourceParams:
    """Section `resources` of `params.yaml`."""
    return load_params("resources", ResourceParams, root)


def explain(name: str, error: ValidationError, *, model: type[BaseModel]) -> list[str]:
    """A line for each parameter of section `name` that is wrong: its value, and what would be right."""
    lines = []
    for item in error.errors():
        parameter = ".".join([name, *(str(part) for part in item["loc"])])
        if item["type"] == "missing":
            lines.append(f"  {parameter} is missing: give it a value there or in the domain's {PARAMS_FILE}")
        elif item["type"] == "extra_forbidden":
            lines.append(f"  {parameter} is unknown; there are: {', '.join(_fields(model, item['loc'][:-1]))}")
        elif item["type"] == "value_error":  # about several parameters together, or it says the value itself
            lines.append(f"  {parameter}: {item['msg'].removeprefix('Value error, ')}")
        else:
            lines.append(f"  {parameter} = {item['input']!r}: {item['msg']}")
    return lines


def _fields(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Names of the parameters at a place within a model."""
    for part in place:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        model = next((kind for kind in kinds if issubclass(kind, BaseModel)), model)
    return list(model.model_fields)
