"""A gate's file in words: closed when in doubt, let pass only by an override record of its own digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from orchestration.gate import Gate

CHECK = {"name": "kappa", "value": 0.61234, "side": "at_least", "limit": 0.7, "rows": 150, "required": True}
CLOSED = {
    "stage": "label",
    "passed": False,
    "checks": [
        {"name": "coverage", "value": 0.9, "limit": 0.5, "rows": 9, "outcome": "passed", "required": True},
        CHECK | {"outcome": "failed", "sentence": "weak labels agree with gold"},
        {"name": "groups", "value": None, "limit": 1, "rows": 2, "outcome": "undecided", "required": True},
        {"name": "other", "value": None, "limit": 1, "rows": 2, "outcome": "undecided", "required": False},
    ],
    "shown_records": [{"id": number} for number in range(5)],
    "digest": "abc",
}


def read(folder: Path, content: object) -> Gate:
    (folder / "verdict.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return Gate.read(folder, stage="label", verdict="verdict.json", overrides="overrides")


def test_an_open_gate_is_open(tmp_path: Path) -> None:
    assert read(tmp_path, CLOSED | {"passed": True}).passed


def test_a_closed_gate_says_check_value_limit_rows_and_three_records(tmp_path: Path) -> None:
    gate = read(tmp_path, CLOSED)
    assert not gate.passed
    assert [check["name"] for check in gate.closed_by] == ["kappa", "groups"]
    assert "kappa = 0.6123, at least 0.7, on 150 rows: failed (weak labels agree with gold)" in gate.headline()
    assert gate.evidence()["shown_records"] == [{"id": 0}, {"id": 1}, {"id": 2}]
    assert "| kappa | 0.6123 | at least 0.7 | 150 | failed |" in gate.page()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"passed": 1}', '{"passed": "true"}', '{"checks": []}'])
def test_a_verdict_that_does_not_say_passed_is_closed(tmp_path: Path, content: str) -> None:
    assert not read(tmp_path, content).passed


def test_a_missing_verdict_is_closed(tmp_path: Path) -> None:
    gate = Gate.read(tmp_path, stage="label", verdict="nowhere.json", overrides=None)
    assert not gate.passed
    assert "nowhere.json cannot be read" in gate.headline()


def test_only_an_override_of_this_verdict_lets_it_pass(tmp_path: Path) -> None:
    folder = tmp_path / "overrides"
    folder.mkdir()
    (folder / "cut.json").write_text("{")
    for stage, digest in (("label", "other"), ("split", "abc")):
        (folder / f"{stage}-{digest}.json").write_text(json.dumps({"stage": stage, "verdict_digest": digest}))
    assert not read(tmp_path, CLOSED).passed
    (folder / "label-abc.json").write_text(json.dumps({"stage": "label", "verdict_digest": "abc"}))
    gate = read(tmp_path, CLOSED)
    assert gate.passed
    assert gate.overridden_by == "label-abc.json"
