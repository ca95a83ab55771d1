"""Files of the state root: chained lines, and lines that a crash cut."""

import json

import pytest

from pipelines.runtime import state
from pipelines.runtime.errors import StoreError


def test_lines_are_chained_and_a_changed_one_is_named(tmp_path):
    file = tmp_path / "history.jsonl"
    for number in range(3):
        state.append_line(file, {"number": number}, chained=True)
    assert [line["number"] for line in state.verify_chain(file)] == [0, 1, 2]
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1].replace('"number": 1', '"number": 5'), lines[2]]) + "\n")
    with pytest.raises(StoreError, match="line 2: the chain of hashes is broken"):
        state.verify_chain(file)
    file.write_text("\n".join([lines[0], lines[2]]) + "\n")
    with pytest.raises(StoreError, match="line 2"):
        state.append_line(file, {"number": 3}, chained=True)


def test_a_line_cut_by_a_crash_is_dropped_by_the_next_append(tmp_path):
    file = tmp_path / "lines.jsonl"
    state.append_line(file, {"a": 1})
    with file.open("a") as stream:
        stream.write('{"a": 2')
    assert state.read_lines(file) == [{"a": 1}]
    state.append_line(file, {"a": 3})
    assert [json.loads(line)["a"] for line in file.read_text().splitlines()] == [1, 3]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    file = tmp_path / "lines.jsonl"
    file.write_text('{"a": 1}\nnonsense\n{"a": 2}\n')
    with pytest.raises(StoreError, match="line 2 is not JSON"):
        state.read_lines(file)
