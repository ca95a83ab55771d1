"""Calls of a domain's `normalize`, `RawSchema` and `to_records`, with errors that name the file, the row and the
cause.
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.records.domain import Domain
from pipelines.runtime.errors import InputError

FILE, ROW = "_file", "_row"  # columns that normalize gets in addition to the raw ones
VALUE_CHARS = 200  # of a value that a reason shows
WORDS = {  # names of pandera's own checks
    "not_nullable": "is missing",
    "field_uniqueness": "occurs more than once",
    "dtype": "is not of type",
    "coerce_dtype": "is not of type",
    "str_matches": "does not match",
    "isin": "is not one of",
    "notin": "is one of",
    "equal_to": "is not",
    "greater_than": "is not above",
    "greater_than_or_equal_to": "is below",
    "less_than": "is not below",
    "less_than_or_equal_to": "is above",
}


@dataclass(frozen=True)
class Origin:
    """File and row number of each raw row, for messages and for domains that make ids of them."""

    files: np.ndarray  # (n,) names
    rows: np.ndarray  # (n,) row numbers from 1

    @classmethod
    def of(cls, name: str, *, rows: int) -> Origin:
        """Return the origin of `rows` rows that all come from one place."""
        return cls(np.full(rows, name, dtype=object), np.arange(1, rows + 1))

    @property
    def first(self) -> str:
        """Name of the first row's file."""
        return str(self.files[0]) if len(self.files) else "input"


def normalized(raw: pd.DataFrame, *, domain: Domain, origin: Origin) -> pd.DataFrame:
    """Return the frame under the domain's names, with the same rows in the same order.

    The domain also gets each row's `_file` and `_row`, from which one without ids can make some. Raises InputError,
    which names the file, the column and the nearest name, when the domain cannot read the columns.
    """
    file = origin.first
    try:
        frame = domain.normalize(raw.assign(**{FILE: origin.files, ROW: origin.rows}))
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    except Exception as error:
        columns = ", ".join(str(column) for column in raw.columns)
        raise InputError(f"{file}: {_failure('normalize', error, domain=domain)}. Columns: {columns}") from error
    _refuse_equal_names(frame, raw=raw, file=file)
    if len(frame) != len(raw) or not frame.index.equals(raw.index):
        raise InputError(
            f"domain {domain.schema.name!r}: normalize changed the rows; it must not drop or reorder any of them"
        )
    for name in domain.schema.required_columns:
        if name not in frame.columns:
            found = [str(column) for column in raw.columns]
            raise InputError(f"{file}: column {name!r} is missing{_hint(name, found)}. Found: {', '.join(found)}")
    return frame


def validated(frame: pd.DataFrame, *, schema: Any, file: str) -> tuple[pd.DataFrame, dict[int, str]]:
    """Return the rows that pass the raw schema, and the reason of each other row by its position in `frame`.

    Raises InputError when a column fails as a whole, for example because it is absent.
    """
    from pandera.errors import SchemaErrors

    try:
        return schema.validate(frame, lazy=True), {}
    except SchemaErrors as error:
        cases = error.failure_cases
    _refuse_whole_columns(cases[cases["index"].isna()], frame=frame, file=file)
    reasons: dict[int, list[str]] = {}
    for place, column, check, value in zip(
        cases["index"].astype(int), cases["column"], cases["check"], cases["failure_case"], strict=True
    ):
        shown = "null" if pd.isna(value) else repr(str(value)[:VALUE_CHARS])
        reasons.setdefault(place, []).append(f"{in_words(str(column), str(check))}; found {shown}")
    good = frame.drop(index=list(reasons))
    return schema.validate(good), {place: "; ".join(dict.fromkeys(items)) for place, items in sorted(reasons.items())}


def canonical(valid: pd.DataFrame, *, domain: Domain, origin: Origin) -> pd.DataFrame:
    """Return the canonical records of valid rows, whose index is their position in the raw input.

    Raises InputError, which names the first row that the domain cannot turn into a record.
    """
    try:
        records = domain.to_records(valid)
    except InputError:
        raise
    except Exception as error:
        row = _first_failing_row(valid, domain=domain)
        where = f"{origin.files[row]}, row {origin.rows[row]}" if row is not None else origin.first
        raise InputError(
            f"{where}: {_failure('to_records', error, domain=domain)}; RawSchema should reject a row that cannot become "
            "a record, with a reason"
        ) from error
    if len(records) != len(valid):
        raise InputError(
            f"domain {domain.schema.name!r}: to_records returned {len(records)} of {len(valid)} rows; it must return all"
        )
    undated = (records["gold"].notna() & records["gold_at"].isna()).to_numpy()
    if undated.any():
        row = valid.index[int(undated.argmax())]
        raise InputError(
            f"{origin.files[row]}, row {origin.rows[row]}: domain {domain.schema.name!r}: to_records returned a gold "
            "label without gold_at; its arrival decides whether the label is known yet"
        )
    return records


def in_words(column: str, check: str) -> str:
    """Return why a value of the column fails a check of RawSchema; a check with an `error` of its own is shown as is."""
    name, _, limit = check.partition("(")
    if name in WORDS:
        return f"{column} {WORDS[name]} {limit.removesuffix(')')}".rstrip()
    return check if check.startswith(column) else f"{column}: {check}"


def _refuse_whole_columns(cases: pd.DataFrame, *, frame: pd.DataFrame, file: str) -> None:
    """Raise InputError for the first check that a column failed as a whole."""
    if cases.empty:
        return
    case = cases.iloc[0]
    names = [str(name) for name in frame.columns if name not in (FILE, ROW)]
    if case["check"] == "column_in_dataframe":
        hint = _hint(str(case["failure_case"]), names)
        raise InputError(
            f"{file}: column {case['failure_case']!r} of RawSchema is missing{hint}; if it may be absent, let normalize "
            f"add it. Found: {', '.join(names)}"
        )
    raise InputError(
        f"{file}: column {case['column']!r} fails {case['check']!r} as a whole (found {case['failure_case']!r}); "
        f"columns: {', '.join(names)}"
    )


def _refuse_equal_names(frame: pd.DataFrame, *, raw: pd.DataFrame, file: str) -> None:
    """Raise InputError when two columns have one name after normalize, such as `day` and `Day`."""
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        name = str(repeated[0])
        candidates = [str(column) for column in raw.columns if str(column).strip().lower() == name.strip().lower()]
        raise InputError(
            f"{file}: {len(frame.columns[frame.columns == repeated[0]])} columns are named {name!r} after normalize"
            f"{' (' + ', '.join(map(repr, candidates)) + ')' if len(candidates) > 1 else ''}; keep one"
        )


def _hint(name: str, found: Sequence[str]) -> str:
    """Return what the missing column may be called in the file."""
    sign = next((sign for sign in ";\t|" if len(found) == 1 and sign in found[0]), None)
    if sign is not None:
        return f"; fields seem to be separated by {sign!r}: expected commas"
    candidates = {column.lower().replace(" ", "_"): column for column in found}
    near = difflib.get_close_matches(name.lower(), list(candidates), n=1, cutoff=0.5)
    return f"; the nearest is {candidates[near[0]]!r} (was it renamed?)" if near else ""


def _first_failing_row(rows: pd.DataFrame, *, domain: Domain) -> int | None:
    """Return the position of the first row that to_records fails on, by halving; None if only rows together fail."""
    while len(rows):
        half = rows.iloc[: (len(rows) + 1) // 2]
        try:
            domain.to_records(half)
        except Exception:
            if len(rows) == 1:
                return int(rows.index[0])
            rows = half
        else:
            rows = rows.iloc[len(half) :]
    return None


def _failure(function: str, error: Exception, *, domain: Domain) -> str:
    """Return what a function of the domain failed with, and the line of its file."""
    lines = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(domain.folder)
    ]
    place = f" ({lines[-1]})" if lines else ""
    first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    return f"domain {domain.schema.name!r}: {function} failed with {type(error).__name__}: {first}{place}"
