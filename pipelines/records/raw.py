"""Raw rows as a table of strings, the one form in which every source hands them to `records.conversion`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def table_of_rows(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return JSON objects as a table: one column per key that any row has, null where a row lacks it."""
    import pyarrow as pa

    keys = dict.fromkeys(key for row in rows for key in row)
    columns = [pa.array([cell_of(row.get(key)) for row in rows], pa.large_string()) for key in keys]
    return pa.table(columns, names=[whole_characters(key) for key in keys])


def cell_of(value: Any) -> str | None:
    """Return a JSON value as the text of a cell; null and empty text become None, what is not text becomes JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return whole_characters(text) or None


def whole_characters(text: str) -> str:
    """Replace halves of characters (lone surrogates, as of a truncated emoji in JSON) by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def refuse_duplicated_columns(names: Iterable[str], *, file: str) -> None:
    """Raise InputError when a column name occurs more than once: it is not known which one is meant."""
    names = list(names)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            f"{file}: column {repeated[0]!r} occurs {names.count(repeated[0])} times; keep one. "
            f"Found: {', '.join(names)}"
        )


def strings_of(table: pa.Table, *, file: str) -> pa.Table:
    """Return the table with every column as strings: times in ISO form, lists and structs as JSON, null as null.

    Raises InputError, which names `file` and the column, for a type that has no text form.
    """
    import pyarrow as pa

    columns = []
    for name, given in zip(table.column_names, table.columns, strict=True):
        kind = given.type
        if pa.types.is_nested(kind):
            cells = [None if cell is None else json.dumps(cell, default=str) for cell in given.to_pylist()]
            columns.append(pa.array(cells, pa.large_string()))
            continue
        try:
            exact = given.cast(pa.timestamp("us", tz=kind.tz), safe=False) if pa.types.is_timestamp(kind) else given
            columns.append(exact if kind == pa.large_string() else exact.cast(pa.large_string()))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(f"{file}: column {name!r} of type {kind} cannot be read as text: {error}") from error
    return pa.table(columns, names=table.column_names)


def strings_of_frame(frame: pd.DataFrame, *, file: str) -> pa.Table:
    """Return a pandas frame as a table of strings; InputError when two columns have one name."""
    import pyarrow as pa

    refuse_duplicated_columns(map(str, frame.columns), file=file)
    for name in frame.columns:
        if frame[name].dtype == object:  # mixed cells have no common type but text
            cells = frame[name]
            frame = frame.assign(**{name: cells.where(cells.isna(), cells.map(str)).astype("str")})
    return strings_of(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), file=file)
