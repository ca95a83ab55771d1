"""Raw rows as tables of strings: JSON cells as text, columns that differ by name, halves of characters replaced."""

from __future__ import annotations

import pandas as pd
import pytest

from pipelines.records.raw import cell_of, strings_of_frame, table_of_rows
from pipelines.runtime.errors import InputError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", None),
        ("a", "a"),
        (12.5, "12.5"),
        (True, "true"),
        ({"a": [1]}, '{"a": [1]}'),
        ("\ud83d", "\ufffd"),
    ],
)
def test_a_json_value_is_the_text_of_a_cell(value, text) -> None:
    assert cell_of(value) == text


def test_rows_have_one_column_per_key_in_order_of_appearance() -> None:
    table = table_of_rows([{"a": 1}, {"b": "x", "a": None}])
    assert table.to_pydict() == {"a": ["1", None], "b": [None, "x"]}


def test_mixed_and_typed_columns_become_text() -> None:
    frame = pd.DataFrame({"mixed": [1, "b", None], "day": pd.to_datetime(["2025-01-08"] * 3), "list": [[1], [2], None]})
    table = strings_of_frame(frame, file="f")
    assert table["mixed"].to_pylist() == ["1", "b", None]
    assert table["day"].to_pylist()[0].startswith("2025-01-08")


def test_a_repeated_column_is_refused() -> None:
    with pytest.raises(InputError, match="'a'"):
        strings_of_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]), file="f")
