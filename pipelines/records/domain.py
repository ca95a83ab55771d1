"""A domain, everything that is specific to one problem, loaded from the folder that `params.yaml: domain` names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
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
        self._check_functions()
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

    def redact(self, texts: list[str]) -> list[str]:
        """Return texts (n,) without what the domain's function `redact` removes; unchanged without one."""
        function = getattr(self._module("schema"), "redact", None)
        if function is None:
            return texts
        found = list(function(list(texts)))
        if len(found) != len(texts) or not all(isinstance(text, str) for text in found):
            raise InputError(
                f"{self.folder / 'schema.py'}: invalid result of redact for {len(texts)} texts: expected as many texts"
            )
        return found

    @cached_property
    def labeling_functions(self) -> tuple[Any, ...]:
        """Return the labeling functions in order of definition."""
        from pipelines.records.labeling import LabelingFunction

        return self._collect("labeling_functions", LabelingFunction)

    @cached_property
    def behaviors(self) -> tuple[Any, ...]:
        """Return the behavioral tests in order of definition."""
        from pipelines.records.behaviors import Behavior

        found = self._collect("behaviors", Behavior)
        for behavior in found:
            cases = behavior.cases()
            if not cases:
                raise InputError(f"{self.folder}/behaviors.py: {behavior.name!r} has no cases: expected one or more")
            unknown = sorted({case.label for case in cases if case.label} - set(self.schema.labels))
            if unknown:
                raise InputError(
                    f"{self.folder}/behaviors.py: {behavior.name!r} expects label {unknown[0]!r}: expected one of "
                    f"{', '.join(self.schema.labels)}"
                )
        return found

    @property
    def stream(self) -> Callable[..., Iterator[pd.DataFrame]]:
        """Return the simulator: `stream(start=date, end=date, seed=int, **parameters)` yields one raw frame per day."""
        return self._attribute("simulator", "stream")

    def simulate(self, *, start: date, end: date, seed: int, **parameters: Any) -> Iterator[pd.DataFrame]:
        """Yield raw input of the half-open window of days from the domain's simulator."""
        return self.stream(start=start, end=end, seed=seed, **parameters)

    def _check_functions(self) -> None:
        """Raise InputError unless what schema.py defines for raw rows has the form in which it is called."""
        file, defined = self.folder / "schema.py", vars(self._module("schema"))
        if "RawSchema" in defined and not hasattr(defined["RawSchema"], "validate"):
            raise InputError(f"{file}: invalid RawSchema = {defined['RawSchema']!r}: expected a pandera DataFrameModel")
        for name, argument in {"normalize": "raw", "to_records": "raw", "derive": "records", "redact": "texts"}.items():
            if name not in defined:
                continue  # what is missing is an error where it is called
            try:
                inspect.signature(defined[name]).bind(None)
            except TypeError as error:
                raise InputError(
                    f"{file}: {name} cannot be called with one argument ({error}): expected `def {name}({argument})`"
                ) from None
        if "redact" in defined:
            try:
                self.redact(["", "a text"])
            except InputError:
                raise
            except Exception as error:
                raise InputError(f"{file}: redact(['', 'a text']) failed: {type(error).__name__}: {error}") from error

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
