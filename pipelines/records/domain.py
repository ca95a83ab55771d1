"""A domain: everything special to one problem, loaded from the folder that `params.yaml: domain` names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipelines.records.schema import DomainSchema
from pipelines.runtime.errors import InputError, PerennialError
from pipelines.runtime.params import Parameters

if TYPE_CHECKING:
    import pandas as pd

PACKAGE = "perennial_domain"


class Domain:
    """A loaded domain; its modules are imported on first use, so a stage pays only for what it needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @cached_property
    def schema(self) -> DomainSchema:
        """The domain's `SCHEMA`."""
        schema = self._attribute("schema", "SCHEMA")
        if not isinstance(schema, DomainSchema):
            raise InputError(
                f"{self.folder / 'schema.py'}: SCHEMA is {type(schema).__name__}; a DomainSchema would be right"
            )
        return schema

    @property
    def raw_schema(self) -> Any:
        """The pandera model of the raw input."""
        return self._attribute("schema", "RawSchema")

    def normalize(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Raw input with the raw schema's column names and formats; never drops a row."""
        return self._attribute("schema", "normalize")(raw)

    def to_records(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Validated raw rows as canonical records."""
        from pipelines.records.records import as_canonical

        return as_canonical(self._attribute("schema", "to_records")(raw), schema=self.schema)

    def derive(self, records: pd.DataFrame) -> dict[str, pd.Series]:
        """Features that follow from `text` alone, by the domain's `derive` where it has one: live input lacks them."""
        function = getattr(self._module("schema"), "derive", None)
        return dict(function(records)) if function else {}

    @cached_property
    def labeling_functions(self) -> tuple[Any, ...]:
        """Labeling functions in order of definition."""
        from pipelines.records.labeling import LabelingFunction

        return self._collect("labeling_functions", LabelingFunction)

    @cached_property
    def behaviors(self) -> tuple[Any, ...]:
        """Behavioral tests in order of definition."""
        from pipelines.records.behaviors import Behavior

        return self._collect("behaviors", Behavior)

    @property
    def stream(self) -> Callable[..., Iterator[pd.DataFrame]]:
        """The simulator: `stream(start=date, end=date, seed=int, **parameters)` yields one raw frame a day."""
        return self._attribute("simulator", "stream")

    def simulate(self, *, start: date, end: date, seed: int, **parameters: Any) -> Iterator[pd.DataFrame]:
        """Raw input of the half-open window of days from the domain's simulator."""
        return self.stream(start=start, end=end, seed=seed, **parameters)

    def _module(self, name: str) -> ModuleType:
        package = _package(self.folder)
        file = self.folder / f"{name}.py"
        if not file.exists():
            raise InputError(f"domain {self.folder}: {file.name} is missing")
        try:
            return importlib.import_module(f"{package}.{name}")
        except PerennialError:
            raise
        except SyntaxError as error:
            raise InputError(f"{file}, line {error.lineno}: {error.msg}") from error
        except Exception as error:
            lines = [
                f", line {at.lineno}" for at in traceback.extract_tb(error.__traceback__) if at.filename == str(file)
            ]
            raise InputError(
                f"{file}{lines[-1] if lines else ''}: it cannot be imported: {type(error).__name__}: {error}"
            ) from error

    def _attribute(self, module: str, name: str) -> Any:
        try:
            return getattr(self._module(module), name)
        except AttributeError:
            raise InputError(f"{self.folder / module}.py defines no {name}") from None

    def _collect(self, module: str, kind: type[Any]) -> tuple[Any, ...]:
        found = tuple(value for value in vars(self._module(module)).values() if isinstance(value, kind))
        if not found:
            raise InputError(f"{self.folder / module}.py defines no {kind.__name__}")
        names = [item.name for item in found]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"{self.folder / module}.py names {twice[0]!r} twice; names are keys in metrics and must differ"
            )
        return found


def load_domain(folder: Path | None = None) -> Domain:
    """The domain of `folder`, or the one that `params.yaml: domain` names."""
    return Domain((folder or Parameters.read(Path.cwd()).domain_folder).resolve())


def _package(folder: Path) -> str:
    """Import name of the domain's package; every folder has its own, so two domains can live in one process."""
    import hashlib

    name = f"{PACKAGE}_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
    return name
