"""Overrides change one value of a parameter file and no other byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from orchestration import knobs
from orchestration.request import RequestError

TEXT = """# Knobs.
domain: a/b   # the folder

ingest:
  start: "2025-01-01"  # first day
  end: null            # as the domain says
  list: [1, 2]   # flow
  block:
  - one
  - two
  # a comment of what follows
  deep: {x: 1, y: {z: 2}}
  empty:
last:
  text: |
    two
    lines
  value: 3
"""

CASES = [
    ("domain", "c/d"),
    ("domain", None),
    ("ingest.start", "2026-02-02"),
    ("ingest.end", "2026-02-02"),
    ("ingest.list", [3]),
    ("ingest.block", ["three"]),
    ("ingest.deep.y.z", 5),
    ("ingest.deep.x", True),
    ("ingest.deep", {"q": 1}),
    ("ingest.empty", 4),
    ("last.text", "quotes \" and ' and\nnewline: # no comment"),
    ("last.value", 0.5),
    ("ingest.new", 1),
    ("ingest.deep.new", 1),
    ("fresh.knob", 1),
    ("ingest.end.below", 1),
]


@pytest.mark.parametrize(("knob", "value"), CASES)
def test_one_value_changes_and_the_comments_stay(knob: str, value: object) -> None:
    changed = knobs.with_value(TEXT, knob, value)
    assert knobs.look_up(yaml.safe_load(changed), knob) == (True, value)
    assert changed.count("#") >= TEXT.count("#")
    untouched = [line for line in TEXT.splitlines() if line not in changed.splitlines()]
    assert len(untouched) <= 3


ALIASED = """a:
  model: &m   # shared
    name: x
    size: 1
b:
  model: *m   # the same
  rest: {<<: *m, more: 2}
"""


@pytest.mark.parametrize("section", ["a", "b"])
def test_a_value_shared_through_an_alias_changes_in_one_place(section: str) -> None:
    changed = yaml.safe_load(knobs.with_value(ALIASED, f"{section}.model.size", 9))
    expected = yaml.safe_load(ALIASED)
    expected[section] = expected[section] | {"model": {"name": "x", "size": 9}}
    assert changed == expected


def test_a_knob_of_an_overlaid_file_may_be_overridden_and_an_unknown_one_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a:\n  b: 1 # one\n")
    (tmp_path / "below.yaml").write_text("a: {c: 2}\n")
    files = ["params.yaml", "below.yaml"]
    assert knobs.apply(tmp_path, {"a.c": 3}, files=files)
    assert yaml.safe_load((tmp_path / "params.yaml").read_text()) == {"a": {"c": 3, "b": 1}}
    assert not knobs.apply(tmp_path, {"a.c": 3}, files=files)
    with pytest.raises(RequestError, match=r"no knob 'a\.x'.*there are: a\.b, a\.c"):
        knobs.apply(tmp_path, {"a.x": 3}, files=files)
    with pytest.raises(RequestError, match=r"no knob 'q'.*there are: a"):
        knobs.apply(tmp_path, {"q": 3}, files=files)
    with pytest.raises(RequestError, match="no plain value"):
        knobs.apply(tmp_path, {"a.b": float("nan")}, files=files)


@pytest.mark.parametrize("value", [5, None, "x", [], {}])
def test_a_section_is_no_knob(tmp_path: Path, value: object) -> None:
    (tmp_path / "params.yaml").write_text(TEXT)
    for section, inner in (("ingest", "ingest.start"), ("ingest.deep", "ingest.deep.x")):
        with pytest.raises(RequestError, match=f"{section} is a section; right would be one of its knobs: .*{inner}"):
            knobs.apply(tmp_path, {section: value}, files=["params.yaml"])
    assert (tmp_path / "params.yaml").read_text() == TEXT


def test_a_value_cannot_break_out_of_its_place(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a:\n  b: x\n  c: y\n")
    evil = "z\n  c: owned\n# $(touch owned) '\""
    knobs.apply(tmp_path, {"a.b": evil}, files=["params.yaml"])
    assert yaml.safe_load((tmp_path / "params.yaml").read_text()) == {"a": {"b": evil, "c": "y"}}


@pytest.mark.parametrize(
    "value",
    [
        "a\x85b",
        "a\u2028b\u2029",
        "\ufeffa",
        "\x00",
        "\x7f",
        "\ufffe",
        "é😀",
        "# no comment",
        "- a: b",
        "*x",
        "${domain}",
    ],
)
def test_a_text_comes_back_as_it_was_whatever_yaml_thinks_of_its_letters(value: str) -> None:
    assert yaml.safe_load(knobs.with_value(TEXT, "domain", value))["domain"] == value


TEMPLATED = ["domain", "train.lr", "item.lang", "list[0]"]


@pytest.mark.parametrize("knob", ["domain", "train", "train.lr", "train.lr.deep", "list"])
@pytest.mark.parametrize(
    "value", ["a b", "a;b", "$(x)", "`x`", "-x", "a\nb", "'", '"', "a|b", "a>b", "~", ["-a"], {"a b": 1}]
)
def test_what_dvc_writes_into_a_stage_is_plain(knob: str, value) -> None:
    with pytest.raises(RequestError, match=r"is refused: dvc\.yaml writes it into its stages"):
        knobs.shaping({knob: value}, templated=TEMPLATED)


def test_other_knobs_take_any_text_and_plain_values_shape_the_graph() -> None:
    free = {"owner": "$(touch owned); `x`", "trained": "-x", "train2.lr": "'", "ingest.list": ["a b"]}
    assert knobs.shaping(free, templated=TEMPLATED) == []
    shaping = {"domain": "tests/domains/x-1", "train.lr": 0.1, "list": ["en", None, True]}
    assert knobs.shaping({**free, **shaping}, templated=TEMPLATED) == list(shaping)
