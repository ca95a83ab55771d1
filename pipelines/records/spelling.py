"""The one spelling of each value: what a cell of any type is as text, whichever source it comes from.

| value | text |
|---|---|
| None, NaN, NaT, pd.NA, empty text | null |
| number of any type | shortest decimal digits, no exponent, no trailing zeros: `123456789012`, `0.0000001`, `12.5` |
| infinite number | `inf`, `-inf`; a record with an infinite feature is rejected |
| boolean | `true`, `false` |
| date, time | `2025-01-08`, `10:30:00` |
| date and time | `2025-01-08T10:30:00`, with microseconds where they are not zero; with an offset in UTC: `...T10:30:00+00:00` |
| duration | seconds, as a number |
| bytes | their UTF-8 text |
| Enum, UUID, IP address | its value, its usual text |
| list, array, object, struct, map | JSON with sorted keys, without members that are null, its values spelled as above |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from numbers import Integral
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

TEXT = pa.large_string()
NAMES = (UUID, IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
TYPES = "text, number, boolean, date, time, bytes, UUID, list or object"


def cell_of(value: Any) -> str | None:
    """Return the text of a value, None for null.

    Raises ValueError for a value that has no text: bytes that are not UTF-8, or an object of an unknown type.
    """
    if type(value) is str:  # nearly every cell
        return whole_characters(value) or None
    try:
        return _spell(value)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} of the value is not UTF-8: {error.reason}") from None
    except (ArithmeticError, RecursionError) as error:
        raise ValueError(f"a value of type {type(value).__name__} is too large: {error}") from None


def text_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of any type as text: the same as `cell_of` of each cell, by column where Arrow can.

    Raises ValueError or ArrowException for a cell that has no text.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name not in ("arrow.uuid", "arrow.json", "arrow.bool8"):
            raise ValueError(f"type {kind} has no text form: expected {TYPES}")
        if kind.extension_name == "arrow.json":
            cells = [None if cell is None else json.loads(cell) for cell in column.to_pylist()]
            return pa.chunked_array([pa.array(map(cell_of, cells), TEXT)])
    elif pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        text = column.cast(TEXT)
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_date32(kind) or pa.types.is_null(kind):
        return column.cast(TEXT)
    elif pa.types.is_floating(kind):
        return _spell_floats(column)
    elif pa.types.is_timestamp(kind):
        return _spell_moments(column)
    else:
        cells = column.to_pylist(maps_as_pydicts="lossy") if pa.types.is_nested(kind) else column.to_pylist()
        return pa.chunked_array([pa.array(map(cell_of, cells), TEXT)])
    empty = pc.equal(text, "")
    return pc.if_else(empty, pa.scalar(None, TEXT), text) if pc.any(empty).as_py() else text


def whole_characters(text: str) -> str:
    """Replace halves of characters (lone surrogates, as of a truncated emoji in JSON) by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return str(text)


def _spell(value: Any) -> str | None:
    if isinstance(value, Enum):
        return cell_of(value.value)
    if isinstance(value, str):
        return whole_characters(value) or None
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, float | np.floating | Decimal):
        return _spell_number(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode() or None
    if isinstance(value, Mapping | list | tuple | np.ndarray):
        return _json(value)
    if isinstance(value, NAMES):
        return str(value)
    return _spell_time(value)


def _spell_number(value: Any) -> str | None:
    if pd.isna(value):
        return None
    if value in (np.inf, -np.inf):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, Decimal):
        text = format(value, "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = np.format_float_positional(value, trim="-")
    return "0" if text == "-0" else text


def _spell_time(value: Any) -> str | None:
    if isinstance(value, np.datetime64 | np.timedelta64):
        return _spell(pd.Timestamp(value) if isinstance(value, np.datetime64) else pd.Timedelta(value))
    if isinstance(value, timedelta):
        return _spell_number(value / timedelta(seconds=1))
    if isinstance(value, pd.Timestamp):
        value = value.to_pydatetime(warn=False)  # nanoseconds are cut
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
    if isinstance(value, date | time):
        return value.isoformat()
    raise ValueError(f"a value of type {type(value).__name__} has no text form: expected {TYPES}")


def _json(value: Any) -> str:
    """Return canonical JSON: equal values of any source give equal text."""
    if isinstance(value, Mapping):
        members = {str(cell_of(key)): _json(item) for key, item in value.items() if not _is_null(item)}
        return (
            "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {members[key]}" for key in sorted(members)) + "}"
        )
    if isinstance(value, list | tuple | np.ndarray):
        return "[" + ", ".join(["null" if _is_null(item) else _json(item) for item in value]) + "]"
    text = cell_of(value) or ""
    number = isinstance(value, bool | np.bool_ | Integral | float | np.floating | Decimal)
    return text if number and not text.endswith("inf") else json.dumps(text, ensure_ascii=False)


def _is_null(value: Any) -> bool:
    """Return whether a member of an object or list is null; empty text is not, within JSON."""
    return not isinstance(value, Mapping | list | tuple | np.ndarray) and bool(pd.isna(value))


def _spell_floats(column: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = column.to_numpy()  # null as NaN
    unknown = np.isnan(numbers)
    known = np.where(unknown, 0, numbers).astype(np.float64)
    if np.all((known == np.trunc(known)) & (np.abs(known) < 2**53)):  # ids that met a null, epochs, counts
        return pa.chunked_array([pa.array(known.astype(np.int64), mask=unknown).cast(TEXT)])
    values, places = np.unique(numbers, return_inverse=True)
    return pa.chunked_array([pa.array(map(cell_of, values), TEXT).take(pa.array(places))])


def _spell_moments(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Spell times as `datetime.isoformat` does, without a Python object per cell."""
    aware = column.type.tz is not None
    moments = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    text = moments.cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us")) if aware else moments
    text = pc.replace_substring_regex(text.cast(TEXT), pattern=r"\.000000$", replacement="")
    text = pc.replace_substring(text, pattern=" ", replacement="T", max_replacements=1)
    return pc.binary_join_element_wise(text, pa.scalar("+00:00", TEXT), pa.scalar("", TEXT)) if aware else text
