"""One spelling per value: a matrix of values over CSV, JSON lines, Parquet, SQL, data frames and the prediction service.

`HELD` states which formats cannot hold a kind of value; there the writer's text arrives, and nothing changes it.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.records.raw import strings_of, strings_of_frame, table_of_rows
from pipelines.records.records import as_canonical
from pipelines.records.schema import DomainSchema, Feature
from pipelines.records.spelling import cell_of, text_column
from pipelines.runtime.errors import InputError
from pipelines.sources.files import FilesSource
from pipelines.sources.sql import SqlSource

START, END = date(2025, 1, 6), date(2025, 1, 13)
BERLIN = timezone(timedelta(hours=2))
SOURCES = ("csv", "json", "parquet", "sql", "frame", "api")


class Color(Enum):
    RED = "red"


@pytest.fixture(autouse=True)
def _offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these tests write moments with `pa.array`, which ignores offsets once pandera has set this variable."""
    monkeypatch.delenv("PYARROW_IGNORE_TIMEZONE", raising=False)


# value, its text, the sources that hold this type: in the others a writer can only store its text.
MATRIX: dict[str, tuple[Any, str | None, str]] = {
    "text": ("a, \"b\"\nc", "a, \"b\"\nc", "csv json parquet sql frame api"),
    "text of a number": ("007", "007", "csv json parquet sql frame api"),
    "text of an exponent": ("1e5", "1e5", "csv json parquet sql frame api"),
    "text of a boolean": ("True", "True", "csv json parquet sql frame api"),
    "text nan": ("nan", "nan", "csv json parquet sql frame api"),
    "emoji": ("\U0001f600", "\U0001f600", "csv json parquet sql frame api"),
    "empty text": ("", None, "csv json parquet sql frame api"),
    "null": (None, None, "csv json parquet sql frame api"),
    "whole number": (42, "42", "csv json parquet sql frame api"),
    "negative number": (-7, "-7", "csv json parquet sql frame api"),
    "zero": (0, "0", "csv json parquet sql frame api"),
    "large whole number": (2**53 + 1, "9007199254740993", "csv json parquet sql frame api"),
    "whole number in a float": (123456789012.0, "123456789012", "json parquet sql frame api"),
    "epoch in a float": (1736121600000.0, "1736121600000", "json parquet sql frame api"),
    "fraction": (12.5, "12.5", "csv json parquet sql frame api"),
    "inexact fraction": (0.1, "0.1", "csv json parquet sql frame api"),
    "small fraction": (1e-7, "0.0000001", "json parquet sql frame api"),
    "large float": (1e22, "10000000000000000000000", "json parquet sql frame api"),
    "minus zero": (-0.0, "0", "json parquet sql frame api"),
    "NaN": (float("nan"), None, "json parquet sql frame api"),  # SQLite stores NaN as null
    "infinity": (float("inf"), "inf", "csv json parquet sql frame api"),
    "true": (True, "true", "json parquet frame api"),  # SQLite stores 1
    "false": (False, "false", "json parquet frame api"),
    "decimal": (Decimal("12.50"), "12.5", "parquet frame"),
    "whole decimal": (Decimal("123456789012345678.00"), "123456789012345678", "parquet frame"),
    "decimal with an exponent": (Decimal("1E+5"), "100000", "parquet frame"),
    "date": (date(2025, 1, 8), "2025-01-08", "csv parquet frame"),
    "time": (time(10, 30), "10:30:00", "csv parquet frame"),
    "moment": (datetime(2025, 1, 8, 10, 30), "2025-01-08T10:30:00", "parquet frame"),
    "moment with microseconds": (datetime(2025, 1, 8, 1, 2, 3, 4), "2025-01-08T01:02:03.000004", "parquet frame"),
    "moment in UTC": (datetime(2025, 1, 8, 10, 30, tzinfo=UTC), "2025-01-08T10:30:00+00:00", "parquet frame"),
    "moment with an offset": (datetime(2025, 1, 8, 1, tzinfo=BERLIN), "2025-01-07T23:00:00+00:00", "parquet frame"),
    "duration": (timedelta(minutes=90), "5400", "parquet frame"),
    "bytes": (b"caf\xc3\xa9", "café", "parquet sql frame"),
    "list": ([1, 2.0, None], "[1, 2, null]", "json parquet frame api"),
    "empty list": ([], "[]", "json parquet frame api"),
    "struct": ({"b": 1, "a": [{"z": None, "y": 0.5}]}, '{"a": [{"y": 0.5}], "b": 1}', "json parquet frame api"),
    "UUID": (UUID(int=5), "00000000-0000-0000-0000-000000000005", "csv frame"),
    "enum": (Color.RED, "red", "frame"),
}  # fmt: skip
CELLS = [(source, name) for name, (_, _, held) in MATRIX.items() for source in held.split()]


def _from_files(file: Path) -> str | None:
    source = FilesSource(paths=[file.name], encoding="utf-8", root=file.parent)
    (chunk,) = source.read(start=START, end=END, chunk_rows=10)
    return chunk.table["cell"][0].as_py()


def _csv(value: Any, folder: Path) -> str | None:
    with (folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["cell", "other"], [value, "x"]])
    return _from_files(folder / "a.csv")


def _json(value: Any, folder: Path) -> str | None:
    (folder / "a.jsonl").write_text(json.dumps({"cell": value, "other": 1}) + "\n", encoding="utf-8")
    return _from_files(folder / "a.jsonl")


def _parquet(value: Any, folder: Path) -> str | None:
    pq.write_table(pa.table({"cell": pa.array([value, None])}), folder / "a.parquet")
    return _from_files(folder / "a.parquet")


def _sql(value: Any, folder: Path) -> str | None:
    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute("create table rows (cell)")
        connection.execute("insert into rows values (?)", (value,))
    connection.close()
    query = "select cell from rows where :start < :end order by cell"
    source = SqlSource(address=f"sqlite:///{folder / 'a.db'}", query=query)
    (chunk,) = source.read(start=START, end=END, chunk_rows=10)
    return chunk.table["cell"][0].as_py()


def _frame(value: Any, folder: Path) -> str | None:
    mixed = strings_of_frame(pd.DataFrame({"cell": pd.Series([value, "x"], dtype=object)}), file="f")["cell"][0].as_py()
    typed = strings_of_frame(pd.DataFrame({"cell": pd.Series([value, value])}), file="f")["cell"][0].as_py()
    assert mixed == typed
    return mixed


def _api(value: Any, folder: Path) -> str | None:
    return table_of_rows([{"cell": json.loads(json.dumps(value))}])["cell"][0].as_py()


READ = dict(zip(SOURCES, (_csv, _json, _parquet, _sql, _frame, _api), strict=True))


@pytest.mark.parametrize(("source", "name"), CELLS, ids=lambda item: item)
def test_a_value_has_one_spelling_whatever_its_source(source, name, tmp_path) -> None:
    value, text, _ = MATRIX[name]
    assert READ[source](value, tmp_path) == text
    assert cell_of(value) == text


@pytest.mark.parametrize("value", [MATRIX["moment with an offset"][0], [MATRIX["moment with an offset"][0]]])
def test_an_offset_counts_also_in_a_process_that_has_imported_pandera(value, tmp_path, monkeypatch) -> None:
    texts = {_frame(value, tmp_path), _parquet(value, tmp_path)}
    assert len(texts) == 1 and "2025-01-07T23:00:00+00:00" in texts.pop()
    written = strings_of(pq.read_table(tmp_path / "a.parquet"), file="f")
    monkeypatch.setenv("PYARROW_IGNORE_TIMEZONE", "1")
    assert strings_of(pq.read_table(tmp_path / "a.parquet"), file="f") == written
    assert _frame(value, tmp_path) == written["cell"][0].as_py() == cell_of(value)


def test_the_matrix_is_large_and_every_source_holds_many_values() -> None:
    assert len(MATRIX) >= 25
    assert all(sum(source in held.split() for _, _, held in MATRIX.values()) >= 15 for source in SOURCES)


def test_a_column_of_numbers_with_a_null_is_a_column_of_whole_numbers() -> None:
    for kind in (pa.int64(), pa.float64(), pa.decimal128(20, 3)):
        table = pa.table({"id": pa.array([20250000270, None], kind)})
        assert strings_of(table, file="f")["id"].to_pylist() == ["20250000270", None]
    for kind in ("Int64", "float64", "object"):
        frame = pd.DataFrame({"id": pd.Series([20250000270, None], dtype=kind)})
        assert strings_of_frame(frame, file="f")["id"].to_pylist() == ["20250000270", None]


ARROW = [
    (pa.array([0.1, 2.0, None], pa.float32()), ["0.1", "2", None]),
    (pa.array([1736332200123456789, None], pa.timestamp("ns", "America/New_York")), ["2025-01-08T10:30:00.123456+00:00", None]),
    (pa.array([[("b", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())), ['{"a": 2, "b": 1}']),
    (pa.array(["x", "", None]).dictionary_encode(), ["x", None, None]),
    (pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"b": 1.0, "a": null}'])), ['{"b": 1}']),
    (pa.array([UUID(int=5).bytes], pa.uuid()), ["00000000-0000-0000-0000-000000000005"]),
    (pa.array([None, None]), [None, None]),
]  # fmt: skip


@pytest.mark.parametrize(("column", "texts"), ARROW, ids=lambda item: str(getattr(item, "type", "")))
def test_types_that_only_arrow_has_are_spelled_like_the_others(column, texts) -> None:
    assert text_column(pa.chunked_array([column])).to_pylist() == texts


@given(st.lists(st.none() | st.floats(width=64) | st.integers(-(2**63), 2**63 - 1).map(float), min_size=1, max_size=8))
def test_a_column_of_floats_is_spelled_as_its_cells_and_keeps_their_value(values) -> None:
    texts = text_column(pa.chunked_array([pa.array(values, pa.float64())])).to_pylist()
    assert texts == [cell_of(value) for value in values]
    for value, text in zip(values, texts, strict=True):
        assert text is None or ("e" not in text and float(text) == value)
        assert (text is None) == (value is None or np.isnan(value))


@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.none() | st.just(BERLIN))
)
def test_a_column_of_moments_is_spelled_as_its_cells(value) -> None:
    zone = None if value.tzinfo is None else "+02:00"
    column = pa.chunked_array([pa.array([value], pa.timestamp("us", zone))])
    assert text_column(column).to_pylist() == [cell_of(value)]


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_its_value_and_has_no_exponent(value) -> None:
    text = cell_of(value)
    assert "E" not in text and Decimal(text) == value


@pytest.mark.parametrize("value", [b"\xff", object(), 1j, {1, 2}, pd.Period("2025-01")])
def test_a_value_without_a_text_is_refused_with_its_place(value) -> None:
    frame = pd.DataFrame({"cell": pd.Series(["x", value], dtype=object)})
    with pytest.raises(InputError, match=r"row 2, column 'cell'"):
        strings_of_frame(frame, file="f")


@pytest.mark.parametrize("column", [pd.period_range("2025-01", periods=1, freq="M"), np.array([1j])])
def test_a_column_without_a_text_is_refused(column) -> None:
    with pytest.raises(InputError, match="'cell'"):
        strings_of_frame(pd.DataFrame({"cell": column}), file="f")


def test_bytes_of_parquet_that_are_not_utf_8_are_refused_with_their_row(tmp_path) -> None:
    pq.write_table(pa.table({"cell": pa.array([b"ok", b"ok", b"\xff"], pa.binary())}), tmp_path / "a.parquet")
    source = FilesSource(paths=["a.parquet"], encoding="utf-8", root=tmp_path)
    with pytest.raises(InputError, match=r"a\.parquet, row 3, column 'cell'"):
        list(source.read(start=START, end=END, chunk_rows=2))


def test_ids_and_labels_that_a_domain_parsed_are_spelled_like_raw_cells() -> None:
    schema = DomainSchema(
        name="toy", labels=("0", "1"), features=(Feature("grade", kind="category"),), protected=(),
        no_protected_because="made up", favorable_labels=(), strata=(), gold_delay_days=1, required_columns=("id",),
        requires_text=True,
    )  # fmt: skip
    moment = pd.Timestamp("2025-01-08", tz="UTC")
    records = pd.DataFrame(
        {
            "id": [20250000270.0, 2e16], "text": ["", "a"], "received_at": moment, "entity": [7, 8], "gold": [0.0, None],
            "gold_at": [moment, None], "grade": [True, False],
        }
    )  # fmt: skip
    found = as_canonical(records, schema=schema)
    assert found["id"].tolist() == ["20250000270", "20000000000000000"]
    assert found["gold"].tolist() == ["0", pd.NA] and found["entity"].tolist() == ["7", "8"]
    assert found["grade"].tolist() == ["true", "false"] and found["text"].tolist() == ["", "a"]
