"""Parameters: `params.yaml` overrides the domain's `params.yaml`; each section is validated by its frozen model."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from pipelines.runtime.errors import ParamsError

PARAMS_FILE = "params.yaml"
# 010 is 8 in YAML 1.1 and 10 in YAML 1.2; 1:30 is 90 and a text; 1_000 is 1000 and a text.
TWO_READINGS = re.compile(r"^[-+]?0[0-9_]|[:_]")


class StageParams(BaseModel):
    """Parameters of one stage: frozen, unknown names rejected, NaN and infinity rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)
    # Fields filled from a section of the same name that several stages share, such as base_model.
    shared: ClassVar[tuple[str, ...]] = ()

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic would convert: a number to a date (seconds since 1970), true and false to 1 and 0."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        kinds = {annotation, *get_args(annotation)}
        if date in kinds and isinstance(value, int | float):
            raise PydanticCustomError("date_type", "a date")
        if isinstance(value, bool) and bool not in kinds and kinds & {int, float}:
            raise PydanticCustomError("number_type", "a number")
        return value

    def unresolved(self, *, root: Path, environment: Mapping[str, str]) -> list[str]:
        """Return one line per thing outside the repository that the parameters name and that does not exist."""
        return []


Model = TypeVar("Model", bound=StageParams)
Reason = Annotated[str, Field(min_length=10)]  # why something is allowed, for the people who read the evidence


class ResourceParams(StageParams):
    """params.yaml: resources."""

    threads: int = Field(ge=1, description="threads of every numeric library; another number may change bytes")
    seed: int = Field(ge=0, description="root of every random generator")


class YamlLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C loader if it is built
    """YAML in which a repeated key is an error; PyYAML silently keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping whose keys differ."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value!r}", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return a value; one that looks like a date or number and is not, such as 2024-02-30, has its line named.

        So has one that the two versions of YAML read as different numbers: DVC, which reads this file too, follows 1.2.
        """
        if node.tag == "tag:yaml.org,2002:int" and TWO_READINGS.search(node.value):
            raise yaml.constructor.ConstructorError(
                None, None, f"ambiguous number {node.value!r}: expected digits without leading zero, `_` or `:`, or "
                "a text in quotes", node.start_mark,
            )  # fmt: skip
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(
                None, None, f"invalid value {str(node.value)[:60]!r}: {error}", node.start_mark
            ) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; ParamsError names the file and the line that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(
            f"{path} is missing: run from the repository root, with a domain that has one (docs/your-own-domain.md)"
        ) from None
    except (UnicodeDecodeError, OSError) as error:
        raise ParamsError(f"{path} is not readable as YAML: {error}") from None
    return parse_yaml(text, name=str(path))


def parse_yaml(text: str, *, name: str) -> dict[str, Any]:
    """Return the mapping in a YAML text; ParamsError names the file `name` and the line that is wrong."""
    try:
        content = yaml.load(text, Loader=YamlLoader)  # noqa: S506  a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ParamsError(f"{name} is not readable as YAML: {error}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{name} contains {type(content).__name__}: expected a mapping of sections")
    return content


def domain_folder(content: Mapping[str, Any], *, root: Path) -> Path:
    """Return the absolute folder of the domain that `content`, a whole params.yaml, names."""
    value = content.get("domain")
    if not isinstance(value, str) or not value:
        raise ParamsError(f"{PARAMS_FILE}: invalid domain = {value!r}: expected the path of a domain folder")
    folder = (root / value).resolve()
    if not folder.is_dir():
        raise ParamsError(f"{PARAMS_FILE}: invalid domain = {value!r}: folder {folder} does not exist")
    return folder


def overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` overridden by every value of `over` that is not null, mappings key by key."""
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
        return cls.of(read_yaml(root / PARAMS_FILE), root=root)

    @classmethod
    def of(cls, content: Mapping[str, Any], *, root: Path) -> Parameters:
        """Return the parameters of `content`, a whole params.yaml, with the domain that it names."""
        folder = domain_folder(content, root=root)
        return cls(root=root, ours=content, theirs=read_yaml(folder / PARAMS_FILE), domain_folder=folder)

    def section(self, name: str) -> dict[str, Any]:
        """Return the effective section: the domain's values, overridden by all values in `params.yaml` but null."""
        return section_of(name, ours=self.ours, theirs=self.theirs)

    def load(self, name: str, model: type[Model]) -> Model:
        """Return a section as its model, with the sections that it shares with other stages.

        Raises ParamsError that lists every parameter that is missing, unknown or out of range.
        """
        try:
            return self.validated(name, model)
        except ValidationError as error:
            lines = explain(name, error, model=model)
        raise ParamsError("\n".join([f"{PARAMS_FILE} is invalid:", *lines]))

    def validated(self, name: str, model: type[Model]) -> Model:
        """Return a section as its model; raises pydantic's ValidationError."""
        values = self.section(name)
        for shared in model.shared:
            own = values.get(shared) or {}  # a stage's own value wins for that stage
            values[shared] = overlay(self.section(shared), own) if isinstance(own, dict) else own
        return model.model_validate(values)


def section_of(name: str, *, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the effective section of a whole params.yaml, `ours`, over a whole domain's params.yaml, `theirs`."""
    for file, content in ((PARAMS_FILE, ours), (f"the domain's {PARAMS_FILE}", theirs)):
        if not isinstance(content.get(name) or {}, dict):
            raise ParamsError(f"{file}: invalid {name} = {content[name]!r}: expected a mapping of parameters")
    return overlay(theirs.get(name) or {}, ours.get(name) or {})


def explain(name: str, error: ValidationError, *, model: type[StageParams]) -> list[str]:
    """Return one line per parameter of section `name` that is wrong: its value and what is accepted."""
    lines = []
    for item in error.errors():
        place = [str(part) for part in item["loc"]]
        parameter = ".".join(place if place and place[0] in model.shared else [name, *place])
        if item["type"] == "missing":
            lines.append(f"  {parameter} is missing: set it in {PARAMS_FILE} or in the domain's {PARAMS_FILE}")
        elif item["type"] == "extra_forbidden":
            lines.append(f"  unknown parameter {parameter}: {nearest(place[-1], _fields(model, item['loc'][:-1]))}")
        elif item["type"] == "value_error":  # about several parameters together, or the message names the value itself
            lines.append(f"  {parameter}: {item['msg'].removeprefix('Value error, ')}")
        else:
            accepted = item["msg"].removeprefix("Input should be ")
            accepted = "a date such as 2025-01-31" if item["type"].startswith("date") else accepted
            lines.append(f"  invalid {parameter} = {item['input']!r}: expected {accepted}")
    return lines


def nearest(name: str, known: Collection[str]) -> str:
    """Return a hint for a misspelled name: the nearest known one, else all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"


def _fields(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Return the names of the parameters at a place within a model."""
    for part in place:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        model = next((kind for kind in kinds if issubclass(kind, BaseModel)), model)
    return list(model.model_fields)
