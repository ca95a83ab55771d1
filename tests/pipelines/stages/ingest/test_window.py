"""A window that scoring or drift reads: the records and the verdict of the stage, without a trace in the checkout."""

from __future__ import annotations

import json
from datetime import date

import pandas as pd
import pytest

from pipelines.runtime.errors import InputError, PerennialError
from pipelines.runtime.project import Project
from pipelines.stages.ingest.window import read_window
from tests.factories.tickets import END, START, ticket, tickets

MIDDLE = date(2024, 1, 29)


def test_a_window_is_what_the_stage_writes_for_it(after_ingest) -> None:
    checkout = after_ingest([*tickets(), ticket(600, price="three")], start=MIDDLE)
    written, verdict = checkout.records(), json.loads((checkout.folder / "data/ingest/verdict.json").read_text())
    checkout.set(start=START)
    before = {file: file.read_bytes() for file in checkout.folder.rglob("*") if file.is_file()}
    project = Project.open()
    records, found = read_window(project, start=MIDDLE, end=END)
    pd.testing.assert_frame_equal(records, written)
    assert 0 < len(records) < 560
    assert found == {name: value for name, value in verdict.items() if name in found} and "passed" in found
    after = {file: file.read_bytes() for file in checkout.folder.rglob("*") if file.is_file()}
    assert {file: content for file, content in after.items() if "__pycache__" not in file.parts} == before
    assert not list((project.state / "scratch").iterdir())


def test_a_window_does_not_depend_on_the_working_directory(checkout, tmp_path, monkeypatch) -> None:
    checkout.csv(tickets())
    monkeypatch.chdir(tmp_path)
    records, _ = read_window(Project.open(checkout.folder, environment={}), start=START, end=END)
    assert len(records) == 560


def test_an_unusable_source_is_one_error_and_leaves_no_files(checkout) -> None:
    project = Project.open()
    with pytest.raises(PerennialError, match="could not be read") as raised:
        read_window(project, start=START, end=END)
    assert raised.value.exit_code == 66
    assert not list((project.state / "scratch").iterdir())


def test_an_empty_window_is_refused(checkout) -> None:
    with pytest.raises(InputError):
        read_window(Project.open(), start=START, end=START)


def test_a_closed_gate_does_not_stop_the_caller(checkout) -> None:
    checkout.csv(tickets(20))
    records, verdict = read_window(Project.open(), start=START, end=END)
    assert len(records) == 20 and verdict["passed"] is False
