"""What Airflow shows of a gate; whether it is open is the answer of the gate command alone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
REASON = "gate label is closed: see python -m pipelines override"


def read(folder: Path, content: object, **answer: Any) -> Gate:
    """A gate whose verdict file has this content and whose command gives this answer (default: closed)."""
    if content is not None:
        (folder / "verdict.json").write_text(content if isinstance(content, str) else json.dumps(content))
    given = {"open": False, "override": None, "reason": REASON} | answer
    workspace = SimpleNamespace(
        path=folder, shell=SimpleNamespace(result_of=lambda arguments: {**given, "asked": arguments})
    )
    return Gate.read(workspace, stage="label", verdict="verdict.json", command=["gate"])


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("is_open", [True, False])
def test_the_command_decides_and_the_file_does_not(tmp_path: Path, passed: bool, is_open: bool) -> None:
    assert read(tmp_path, CLOSED | {"passed": passed}, open=is_open).is_open is is_open


@pytest.mark.parametrize("answer", [{}, {"open": 1}, {"open": "true"}, {"open": None}])
def test_an_answer_that_is_not_true_is_closed(tmp_path: Path, answer: dict) -> None:
    assert not read(tmp_path, CLOSED, **answer).is_open


def test_a_closed_gate_shows_check_value_limit_rows_and_three_records(tmp_path: Path) -> None:
    gate = read(tmp_path, CLOSED)
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


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"checks": 5}', '{"checks": [3, null, "x"]}', '{"shown_records": {"a": 1}}']
)
def test_without_a_readable_check_the_reason_is_the_commands(tmp_path: Path, content: str | None) -> None:
    gate = read(tmp_path, content, reason="the verdict is missing\nrun the stage")
    assert gate.headline() == "gate label is closed: the verdict is missing"
    assert gate.reason().splitlines() == [gate.headline(), "run the stage"]
    assert gate.page()
    assert gate.evidence()["checks"] == []


def test_an_override_is_shown_with_the_checks_that_it_overrides(tmp_path: Path) -> None:
    gate = read(tmp_path, CLOSED, open=True, override={"who": "Ana", "why": "a known gap"})
    assert gate.is_open
    assert gate.row() == "| label | closed, overridden by Ana (a known gap) | 4 | 1 passed, 1 failed, 2 undecided |"
    assert "kappa" in gate.headline(), "a person who approves sees what was overridden"
