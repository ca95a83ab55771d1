"""A domain, everything that is specific to one problem, loaded from the folder that `params.yaml: domain` names."""

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

if TYPE_CHECKING:
    import pandas as pd

PACKAGE = "perennial_domain"


class Domain:
    """A loaded domain; its modules are imported on first use, so a stage imports only what it needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @cached_property
    def schema(self) -> DomainSchema:
        """Return the domain's `SCHEMA`."""
        schema = self._attribute("schema", "SCHEMA")
        if not isinstance(schema, DomainSchema):
            raise InputError(
                f"{self.folder / 'schema.py'}: invalid SCHEMA of type {type(schema).__name__}: expected a DomainSchema"
            )
        return schema

    @property
    def raw_schema(self) -> Any:
        """Return the pandera model of the raw input."""
        return self._attribute("schema", "RawSchema")

    def normalize(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Return raw input with the raw schema's column names and formats; no row is dropped."""
        return self._attribute("schema", "normalize")(raw)

    def to_records(self, raw: pd.DataFrame) -> pd.DataFrame:
        """Return validated raw rows as canonical records."""
        from pipelines.records.records import as_canonical

        return as_canonical(self._attribute("schema", "to_records")(raw), schema=self.schema)

    def derive(self, records: pd.DataFrame) -> dict[str, pd.Series]:
        """Return the features that follow from `text` alone, which live input lacks; none without a function
        `derive`.
        """
        function = getattr(self._module("schema"), "derive", None)
        return dict(function(records)) if function else {}

    @cached_property
    def labeling_functions(self) -> tuple[Any, ...]:
        """Return the labeling functions in order of definition."""
        from pipelines.records.labeling import LabelingFunction

        return self._collect("labeling_functions", LabelingFunction)

    @cached_property
    def behaviors(self) -> tuple[Any, ...]:
        """Return the behavioral tests in order of definition."""
        from pipelines.records.behaviors import Behavior

        return self._collect("behaviors", Behavior)

    @property
    def stream(self) -> Callable[..., Iterator[pd.DataFrame]]:
        """Return the simulator: `stream(start=date, end=date, seed=int, **parameters)` yields one raw frame per day."""
        return self._attribute("simulator", "stream")

    def simulate(self, *, start: date, end: date, seed: int, **parameters: Any) -> Iterator[pd.DataFrame]:
        """Yield raw input of the half-open window of days from the domain's simulator."""
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
                f"{file}{lines[-1] if lines else ''}: import failed: {type(error).__name__}: {error}"
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
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise InputError(
                f"{self.folder / module}.py defines {repeated[0]!r} more than once; names are keys in metrics and must differ"
            )
        return found


def _package(folder: Path) -> str:
    """Return the import name of the domain's package, one per folder, so that two domains can live in one process."""
    import hashlib

    name = f"{PACKAGE}_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
    return name
