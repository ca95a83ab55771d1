"""Values changed in a YAML text: only their own lines differ, and what is read back is what was asked for."""

import difflib
from pathlib import Path

import pytest
import yaml

from pipelines.runtime.params import overlay
from pipelines.runtime.rewrite import rewrite

ROOT = Path(__file__).resolve().parents[3]
TEXT = """# parameters
ingest:
  start: null   # first
  rows:
  limits: {rows: 5, share: 0.5}

  paths:   # files
  - "a"  # first
  # and more
  query: |
    one
    two

near: &near     # shared
  words: 5
other: *near
simulator: {}   # the domain's
"""
LIMITS = "  limits: {rows: 5, share: 0.5}"


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ingest": {"start": "2025-01-06"}}, ["-  start: null   # first", "+  start: '2025-01-06' # first"]),
        ({"ingest": {"rows": 7}}, ["-  rows:", "+  rows: 7"]),
        ({"ingest": {"limits": {"rows": 12}}}, [f"-{LIMITS}", "+  limits: {rows: 12, share: 0.5}"]),
        ({"ingest": {"limits": {"new": None}}}, [f"-{LIMITS}", "+  limits: {rows: 5, share: 0.5, new: null}"]),
        (
            {"ingest": {"paths": ["x", "y z"]}},
            ["-  paths:   # files", '-  - "a"  # first', "+  paths: [x, y z] # files  # first"],
        ),
        ({"ingest": {"query": "a\nb\n"}}, ["-  query: |", "-    one", "-    two", '+  query: "a\\nb\\n"']),
        ({"ingest": {"end": 1.5}}, ["+  end: 1.5"]),
        ({"near": {"words": 50}}, ["-  words: 5", "+  words: 50"]),
        ({"other": {"words": 50}}, ["-  words: 5", "+  words: 50"]),
        ({"simulator": {"rows": True}}, ["-simulator: {}   # the domain's", "+simulator: {rows: true} # the domain's"]),
        ({"extra": {"a": [1]}}, ["+extra: {a: [1]}"]),
    ],
)  # fmt: skip
def test_only_the_line_of_the_value_differs(changes, said):
    text, moved = rewrite(TEXT, changes)
    assert changed_lines(TEXT, text) == said
    assert len(moved) == (2 if {"near", "other"} & set(changes) else 1), "every parameter that shares an anchor is told"
    read = yaml.safe_load(text)
    assert overlay(read, changes) == read


def test_what_does_not_move_is_left_alone():
    assert rewrite(TEXT, {"ingest": {"limits": {"rows": 5}}}) == (TEXT, [])
    assert rewrite(TEXT, {}) == (TEXT, [])
    merged = "a: &a {n: 1}\nb:\n  <<: *a\n  m: 2\n"
    assert rewrite(merged, {"b": {"n": 1}}) == (merged, []), "a value that comes by a merge stands already"


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("c*.yaml")), ids=lambda file: file.stem)
def test_the_repositorys_own_file_keeps_every_other_line(file):
    before = (ROOT / "params.yaml").read_text(encoding="utf-8")
    changes = yaml.safe_load(file.read_text(encoding="utf-8"))
    after, moved = rewrite(before, changes)
    lines = changed_lines(before, after)
    assert len(lines) <= 2 * len(moved)
    assert {line.partition("#")[2] for line in lines if line[0] == "-"} == {
        line.partition("#")[2] for line in lines if line[0] == "+"
    }
    kept = yaml.safe_load(after)
    assert overlay(kept, changes) == kept
