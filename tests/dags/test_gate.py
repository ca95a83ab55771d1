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
    assert "kappa = 0.6123, at least 0.7, on 150 rows: failed" in gate.headline()
    assert "kappa: weak labels agree with gold" in gate.reason()
    assert gate.reason().count("record: ") == 3
    assert gate.evidence()["shown_records"] == [{"id": 0}, {"id": 1}, {"id": 2}]
    assert "| kappa | 0.6123 | at least 0.7 | 150 | failed |" in gate.page()


def test_what_is_shown_of_a_closed_gate_fits_a_log_and_airflow(tmp_path: Path) -> None:
    checks = [CHECK | {"outcome": "failed", "value": float("nan"), "sentence": "labels agree " * 30}]
    long = {"id": 1, "text": "a word " * 2000, "share": float("inf"), "inner": {"text": "x" * 5000}}
    gate = read(tmp_path, {"passed": False, "checks": checks, "shown_records": [long]})
    json.dumps(gate.evidence(), allow_nan=False)
    assert len(json.dumps(gate.evidence())) < 3000
    assert max(len(line) for line in gate.reason().splitlines()) <= 100
    assert len(gate.page()) < 3000


@pytest.mark.parametrize("content", ['{"checks": 5}', '{"checks": [3, null, "x"]}', '{"shown_records": {"a": 1}}'])
def test_a_verdict_of_another_shape_is_closed_and_not_a_fault(tmp_path: Path, content: str) -> None:
    gate = read(tmp_path, content)
    assert not gate.passed
    assert gate.reason() == "gate label is closed: no check was made"
    assert gate.page()
    assert gate.evidence()["checks"] == []


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
    assert gate.row() == "| label | closed, let pass by label-abc.json | 4 | 1 passed, 1 failed, 2 undecided |"
    assert "is closed by kappa" in gate.headline(), "a person who approves sees what was let pass"
