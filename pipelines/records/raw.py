"""Raw rows as a table of strings, the one form in which every source hands them to `records.conversion`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.records.spelling import cell_of, text_column, whole_characters
from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def table_of_rows(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return JSON objects as a table: one column per key that any row has, null where a row lacks it."""
    keys = dict.fromkeys(key for row in rows for key in row)
    cells = {key: [row.get(key) for row in rows] for key in keys}
    return table_of_columns(cells.values(), names=[whole_characters(key) for key in keys], file="input")


def table_of_columns(columns: Iterable[Sequence[Any]], *, names: Sequence[str], file: str, first: int = 1) -> pa.Table:
    """Return columns of values of any types as a table of strings.

    Raises InputError, which names `file`, the row (numbered from `first`) and the column, for a value without a text.
    """
    import pyarrow as pa

    spelled = [_cells(cells, name=name, file=file, first=first) for name, cells in zip(names, columns, strict=True)]
    return pa.table([pa.array(cells, pa.large_string()) for cells in spelled], names=list(names))


def refuse_columns(names: Iterable[str], *, file: str) -> None:
    """Raise InputError when a column name occurs more than once, since it is not known which one is meant, or holds a
    null character.
    """
    names = list(names)
    null = next((name for name in names if "\0" in name), None)
    if null is not None:
        raise InputError(
            f"{file}: column {null[:60]!r} has a null character in its name: rename the column; in a text file, check "
            "ingest.files.encoding, for example utf-16"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            f"{file}: column {repeated[0]!r} occurs {names.count(repeated[0])} times; keep one. "
            f"Found: {', '.join(names)}"
        )


def strings_of(table: pa.Table, *, file: str, first: int = 1) -> pa.Table:
    """Return the table with every column as strings, as `records.spelling` spells them.

    Raises InputError, which names `file`, the column and, where one cell is the cause, its row (numbered from `first`).
    """
    import pyarrow as pa

    columns = []
    for name, given in zip(table.column_names, table.columns, strict=True):
        try:
            columns.append(text_column(given))
        except (pa.ArrowException, ValueError) as error:
            if not isinstance(given.type, pa.BaseExtensionType):
                _cells(given.to_pylist(), name=name, file=file, first=first)
            raise InputError(f"{file}: column {name!r} of type {given.type} cannot be read as text: {error}") from error
    return pa.table(columns, names=table.column_names)


def strings_of_frame(frame: pd.DataFrame, *, file: str) -> pa.Table:
    """Return a pandas frame as a table of strings; InputError when two columns have one name."""
    import pyarrow as pa

    names = list(map(str, frame.columns))
    refuse_columns(names, file=file)
    columns = []
    for place, name in enumerate(names):
        cells = frame.iloc[:, place]
        if cells.dtype == object:  # mixed cells have no common type but text
            columns.append(table_of_columns([cells.tolist()], names=[name], file=file).column(0))
            continue
        try:
            typed = pa.array(cells, from_pandas=True)
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise InputError(
                f"{file}: column {name!r} of type {cells.dtype} cannot be read as text: {error}"
            ) from error
        columns.append(strings_of(pa.table([typed], names=[name]), file=file).column(0))
    return pa.table(columns, names=names)


def _cells(cells: Iterable[Any], *, name: str, file: str, first: int) -> list[str | None]:
    texts: list[str | None] = []
    for row, value in enumerate(cells, start=first):
        try:
            texts.append(cell_of(value))
        except ValueError as error:
            raise InputError(f"{file}, row {row}, column {name!r}: {error}; write it as text in the source") from error
    return texts
