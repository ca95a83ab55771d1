"""A candidate that a run does not have: when, and how the reason is kept."""

import pandas as pd
import pytest

from pipelines.runtime.errors import InputError
from pipelines.training.absence import ABSENT, absence_of, has_text, write_absence


@pytest.mark.parametrize(
    ("texts", "found"),
    [([None, "", "  \n"], False), ([pd.NA], False), ([], False), (["", "a"], True), ([None, "  b "], True)],
)
def test_spaces_and_nulls_are_no_text(texts, found):
    assert has_text(pd.DataFrame({"text": pd.Series(texts, dtype="string")})) is found


def test_the_reason_comes_back(tmp_path):
    assert absence_of(tmp_path) is None
    write_absence(tmp_path, "no text – at all")
    assert absence_of(tmp_path) == "no text – at all"


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '"reason"'])
def test_a_damaged_reason_is_an_input_error(tmp_path, content):
    (tmp_path / ABSENT).write_text(content)
    with pytest.raises(InputError):
        absence_of(tmp_path)
