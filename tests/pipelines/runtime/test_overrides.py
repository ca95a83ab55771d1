"""Overrides: only the values asked for change, as every reader of YAML reads them, or nothing is written."""

import difflib
import io
import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipelines.__main__ import main
from pipelines.runtime.errors import ParamsError
from pipelines.runtime.overrides import edit_file, edited, nested, parse_override, read_overrides, set_parameters

TEXT = """# parameters
ingest:
  start: null   # first
  rows:
  limits: {rows: 5, share: 0.5}

  paths:   # files
  - "a"  # first
query: |
  one
  two
simulator: {}   # the domain's
"""


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


@pytest.mark.parametrize(
    ("changes", "added"),
    [
        ({"ingest": {"start": "2025-01-06"}}, ['+  start: "2025-01-06" # first']),
        ({"ingest.limits.rows": 12}, ["+  limits: {rows: 12, share: 0.5}"]),
        ({"ingest": {"limits": {"new": None}}}, ["+  limits: {rows: 5, share: 0.5, new: null}"]),
        ({"ingest": {"paths": ["x", "y z"]}}, ['+  paths:     [x, "y z"] # files']),
        ({"query": "a\nb\n"}, ['+query: "a\\nb\\n"']),
        ({"simulator": {"rows": True}}, ["+simulator: {rows: true} # the domain's"]),
        ({"extra": {"a": [1]}}, ["+extra: {a: [1]}"]),
        ({"ingest.limits.share": 2e-05}, ["+  limits: {rows: 5, share: 2.0e-05}"]),
    ],
)
def test_only_the_value_asked_for_changes_and_comments_stay(changes, added):
    text, changed = edited(TEXT, nested(changes))
    assert len(changed) == 1
    lines = [line for line in changed_lines(TEXT, text) if line not in ("-  rows:", "+  rows: null")]
    assert [re.sub(r" +#", " #", line) for line in lines if line[0] == "+"] == added


def test_an_equal_value_changes_nothing(tmp_path):
    (tmp_path / "params.yaml").write_text(TEXT)
    before = (tmp_path / "params.yaml").stat().st_mtime_ns
    assert edit_file(tmp_path / "params.yaml", {"ingest": {"limits": {"rows": 5}}}) == []
    assert (tmp_path / "params.yaml").stat().st_mtime_ns == before


def test_a_whole_number_a_float_and_true_are_three_values():
    for value in (5.0, True):
        assert len(edited(TEXT, {"ingest": {"limits": {"rows": value}}})[1]) == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(values)
def test_both_readers_of_yaml_read_what_was_asked_for(value):
    try:
        text, _ = edited(TEXT, {"ingest": {"start": value}})
    except ParamsError:
        return  # no YAML means this to both readers, and the override is refused
    for read in (yaml.safe_load(text), YAML(typ="safe").load(io.StringIO(text))):
        assert read["ingest"]["start"] == value
        assert type(read["ingest"]["start"]) is type(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_a_value_that_is_not_plain_is_refused(value):
    with pytest.raises(ParamsError, match=r"invalid dedupe\.min_rows"):
        nested({"dedupe.min_rows": value})


@pytest.mark.parametrize("changes", [{"a.b": 1, "a": {"b": 2}}, {"a": 3, "a.b": 1}, {"a..b": 1}, {"": 1}])
def test_overrides_that_contradict_or_name_nothing_are_refused(changes):
    with pytest.raises(ParamsError):
        nested(changes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a.b=1", ("a.b", 1)), ("a=[x, 2]", ("a", ["x", 2])), ("a=2025-01-06", ("a", "2025-01-06")), ("a=", ("a", None))],
)
def test_an_override_on_the_command_line_has_a_yaml_value(text, expected):
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["a", "=1", "a=[", "a=.nan", "a=010"])
def test_any_other_override_on_the_command_line_is_refused(text):
    with pytest.raises(ParamsError):
        parse_override(text)


@pytest.mark.parametrize("content", ["- a list\n", "text\n", "a: [\n", ""])
def test_a_file_that_is_not_a_mapping_is_refused(tmp_path, content):
    (tmp_path / "over.yaml").write_text(content)
    with pytest.raises(ParamsError, match=r"over\.yaml"):
        read_overrides(tmp_path / "over.yaml")


def test_days_of_a_file_are_text(tmp_path):
    (tmp_path / "over.yaml").write_text("ingest: {start: 2025-01-06}\n")
    assert read_overrides(tmp_path / "over.yaml") == {"ingest": {"start": "2025-01-06"}}


@pytest.fixture
def checkout(tmp_path, repository):
    """A folder with the repository's parameters and domain."""
    for name in ("params.yaml", "pipelines/domains/complaints/params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((repository / name).read_bytes())
    return tmp_path


def window_of(checkout):
    ingest = yaml.safe_load((checkout / "params.yaml").read_text())["ingest"]
    return ingest["start"], ingest["end"]


def test_an_end_alone_starts_the_window_its_usual_length_before(checkout):
    set_parameters(checkout, {}, environment={}, end="2026-01-05")
    assert window_of(checkout) == ("2025-01-06", "2026-01-05")
    set_parameters(checkout, {"ingest.window_days": 7}, environment={}, end="2026-01-05")
    assert window_of(checkout) == ("2025-12-29", "2026-01-05")


@pytest.mark.parametrize("value", [5, [1], "files"])
def test_a_window_with_an_ingest_section_that_is_no_mapping_is_rejected(checkout, value):
    before = (checkout / "params.yaml").read_bytes()
    with pytest.raises(ParamsError, match="ingest"):
        set_parameters(checkout, {"ingest": value}, environment={}, end="2026-01-05")
    assert (checkout / "params.yaml").read_bytes() == before


def test_an_empty_ingest_section_next_to_a_window_changes_only_the_window(checkout):
    set_parameters(checkout, {"ingest": None}, environment={}, end="2026-01-05")
    assert window_of(checkout) == ("2025-01-06", "2026-01-05")


def test_a_window_of_its_own_wins_over_one_among_the_overrides(checkout):
    set_parameters(checkout, {"ingest": {"start": "2024-01-01"}}, environment={}, start="2025-01-06", end="2025-03-03")
    assert window_of(checkout) == ("2025-01-06", "2025-03-03")


@pytest.mark.parametrize(
    ("start", "end"),
    [("2025-01-06", None), ("", "2025-01-06"), ("6.1.2025", "2025-03-03"), ("2025-03-03", "2025-03-03"), (None, "x")],
)
def test_any_other_window_is_refused_and_nothing_is_written(checkout, start, end):
    before = (checkout / "params.yaml").read_bytes()
    with pytest.raises(ParamsError):
        set_parameters(checkout, {}, environment={}, start=start, end=end)
    assert (checkout / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [{"dedupe.min_row": 3}, {"dedupe": 3}, {"dedup.min_rows": 3}, {"dedupe.min_rows": -1}, {"domain": "nowhere"}],
)
def test_a_wrong_override_is_refused_by_name_and_nothing_is_written(checkout, changes, monkeypatch, capsys):
    before = (checkout / "params.yaml").read_bytes()
    (checkout / "over.json").write_text(json.dumps(changes))
    monkeypatch.chdir(checkout)
    assert main(["params", "set", "--file", "over.json"]) == 64
    assert next(iter(changes)).split(".")[0] in capsys.readouterr().err
    assert (checkout / "params.yaml").read_bytes() == before
