"""Parameters: params.yaml overrides the domain's, models are frozen, errors name what is accepted."""

import re
from datetime import date
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.params import Parameters, StageParams, overlay


class Dedupe(StageParams):
    threshold: float = Field(gt=0, le=1)
    name: str


def write(root: Path, ours: str, theirs: str) -> Path:
    folder = root / "problem"
    folder.mkdir(exist_ok=True)
    (root / "params.yaml").write_text(f"domain: problem\n{ours}", encoding="utf-8")
    (folder / "params.yaml").write_text(theirs, encoding="utf-8")
    return root


def test_null_means_as_the_domain_defines_and_a_value_overrides(tmp_path):
    root = write(tmp_path, "dedupe: {threshold: null, name: ours}\n", "dedupe: {threshold: 0.5, name: theirs}\n")
    assert Parameters.read(root).load("dedupe", Dedupe) == Dedupe(threshold=0.5, name="ours")


def test_out_of_range_names_file_parameter_value_and_limit(tmp_path):
    root = write(tmp_path, "dedupe: {threshold: 1.4, name: a}\n", "dedupe: {}\n")
    with pytest.raises(ParamsError) as error:
        Parameters.read(root).load("dedupe", Dedupe)
    assert str(error.value) == (
        "params.yaml is invalid:\n  invalid dedupe.threshold = 1.4: expected less than or equal to 1"
    )


@pytest.mark.parametrize(
    ("name", "hint"), [("treshold", "did you mean threshold?"), ("colour", "expected one of threshold, name")]
)
def test_an_unknown_parameter_is_rejected_with_the_nearest_name(tmp_path, name, hint):
    root = write(tmp_path, f"dedupe: {{threshold: 1, name: a, {name}: 2}}\n", "dedupe: {}\n")
    with pytest.raises(ParamsError, match=re.escape(f"unknown parameter dedupe.{name}: {hint}")):
        Parameters.read(root).load("dedupe", Dedupe)


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
def test_a_number_is_finite(tmp_path, value):
    root = write(tmp_path, f"dedupe: {{threshold: {value}, name: a}}\n", "dedupe: {}\n")
    with pytest.raises(ParamsError, match=r"invalid dedupe\.threshold"):
        Parameters.read(root).load("dedupe", Dedupe)


class Stage(StageParams):
    shared: ClassVar[tuple[str, ...]] = ("words",)

    rows: int
    words: Dedupe


def test_a_shared_section_is_part_of_every_stage_that_names_it(tmp_path):
    root = write(
        tmp_path, "one: {rows: 1}\ntwo: {rows: 2}\nwords: {threshold: null}\n", "words: {threshold: 1, name: a}\n"
    )
    one, two = Parameters.read(root).load("one", Stage), Parameters.read(root).load("two", Stage)
    assert one.words == two.words == Dedupe(threshold=1, name="a")


def test_a_stage_may_override_a_shared_value_for_itself(tmp_path):
    root = write(
        tmp_path, "one: {rows: 1, words: {threshold: 0.5}}\ntwo: {rows: 2}\nwords: {threshold: 1, name: a}\n", "{}\n"
    )
    parameters = Parameters.read(root)
    assert parameters.load("one", Stage).words == Dedupe(threshold=0.5, name="a")
    assert parameters.load("two", Stage).words == Dedupe(threshold=1, name="a")


def test_an_error_in_a_shared_section_names_that_section(tmp_path):
    root = write(tmp_path, "one: {rows: 1}\nwords: {threshold: 3, name: a}\n", "{}\n")
    with pytest.raises(ParamsError, match=r"invalid words\.threshold = 3"):
        Parameters.read(root).load("one", Stage)


def test_missing_parameter_is_named(tmp_path):
    root = write(tmp_path, "dedupe: {threshold: 1}\n", "dedupe: {}\n")
    with pytest.raises(ParamsError, match=r"dedupe\.name is missing"):
        Parameters.read(root).load("dedupe", Dedupe)


@pytest.mark.parametrize(
    ("ours", "message"),
    [("dedupe: 3\n", "a mapping of parameters"), ("dedupe: [\n", "not readable as YAML")],
)
def test_a_broken_file_is_named(tmp_path, ours, message):
    root = write(tmp_path, ours, "dedupe: {}\n")
    with pytest.raises(ParamsError, match=message):
        Parameters.read(root).load("dedupe", Dedupe)


@pytest.mark.parametrize(
    ("value", "line"), [("2024-02-30", 2), ("2024-01-01T25:00:00", 2), ("{[a]: 1}", None), ("[" * 5000, None)]
)
def test_a_value_that_yaml_cannot_make_is_an_error_of_the_file(tmp_path, value, line):
    root = write(tmp_path, f"dedupe: {value}\n", "dedupe: {}\n")
    with pytest.raises(
        ParamsError, match=r"(?s)params\.yaml is not readable as YAML.*" + (f"line {line}" if line else "")
    ):
        Parameters.read(root)


@pytest.mark.parametrize("value", ["010", "-010", "1:30", "1_000"])
def test_a_number_that_yaml_1_1_and_1_2_read_differently_is_an_error(tmp_path, value):
    with pytest.raises(ParamsError, match=f"(?s)ambiguous number '{value}'.*line 2"):
        Parameters.read(write(tmp_path, f"dedupe: {{rows: {value}}}\n", "dedupe: {}\n"))
    Parameters.read(write(tmp_path, f"dedupe: {{rows: '{value}', one: 0, two: -10, three: 0x10}}\n", "dedupe: {}\n"))


class Window(StageParams):
    start: date
    stop: date | None = None
    rows: int = 1
    share: float | None = None
    used: bool = True


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ("start: 0", "a date such as 2025-01-31"),
        ("start: 20240101", "a date such as 2025-01-31"),
        ("{start: 2024-01-01, stop: 86400.0}", "a date such as 2025-01-31"),
        ("start: 01.02.2024", "a date such as 2025-01-31"),
        ("start: 2024-01-01T10:00:00", "a date such as 2025-01-31"),
        ("{start: 2024-01-01, rows: yes}", "a number"),
        ("{start: 2024-01-01, share: false}", "a number"),
    ],
)
def test_a_value_of_another_kind_is_refused(tmp_path, given, accepted):
    root = write(tmp_path, "window:\n  " + given + "\n", "{}\n")
    with pytest.raises(ParamsError, match=f"invalid window.*expected {accepted}$"):
        Parameters.read(root).load("window", Window)


@pytest.mark.parametrize("given", ["'2024-01-01'", "2024-01-01", "2024-01-01T00:00:00"])
def test_a_date_may_be_quoted(tmp_path, given):
    root = write(tmp_path, f"window: {{start: {given}, share: 1, used: no}}\n", "{}\n")
    assert Parameters.read(root).load("window", Window) == Window(start=date(2024, 1, 1), share=1.0, used=False)


def test_a_domain_that_is_not_there_is_named(tmp_path):
    (tmp_path / "params.yaml").write_text("domain: nowhere\n", encoding="utf-8")
    with pytest.raises(ParamsError, match="domain = 'nowhere'"):
        Parameters.read(tmp_path)


def test_params_file_that_is_missing_names_where_to_run(tmp_path):
    with pytest.raises(ParamsError, match="run from the repository root"):
        Parameters.read(tmp_path)


def test_overlay_goes_key_by_key():
    assert overlay({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "b": None, "c": None}) == {
        "a": {"x": 1, "y": 3},
        "b": 1,
        "c": None,
    }
