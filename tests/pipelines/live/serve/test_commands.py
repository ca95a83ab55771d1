"""Commands of the service: results as JSON, exit codes of invalid arguments, nothing heavy before they are checked."""

import json
from datetime import date

import pytest

from pipelines.__main__ import main
from pipelines.live.serve.journal import Journal
from pipelines.live.serve.service import journal_folder
from pipelines.monitoring.live_state import live_folder
from pipelines.monitoring.predictions import read_predictions
from pipelines.runtime.project import Project
from tests.factories.service import line


@pytest.fixture
def project(repository, monkeypatch):
    """This repository, with the private state root of the test."""
    monkeypatch.chdir(repository)
    return Project.open()


def test_compact_moves_the_finished_log_and_reports_the_counts(project, capsys, monkeypatch, tmp_path):
    live = live_folder(project)
    log = Journal(journal_folder(live), max_segment_bytes=1 << 20, fsync_seconds=1.0)
    log.write([line(number) for number in range(3)])
    log.close()
    monkeypatch.setenv("PERENNIAL_RESULT_FILE", str(tmp_path / "result.json"))
    assert main(["compact"]) == 0
    counts = {"segments": 1, "rows": 3, "added": 3, "broken": 0}
    assert json.loads(capsys.readouterr().out) == counts
    assert json.loads((tmp_path / "result.json").read_text()) == counts
    assert len(read_predictions(live, start=date(2026, 1, 5), end=date(2026, 1, 8))) == 3


@pytest.mark.slow
def test_without_a_champion_there_is_no_canary(project, capsys):
    assert main(["canary", "--today", "2026-03-01"]) == 0
    assert json.loads(capsys.readouterr().out) == {"state": "none", "champion": None, "challenger": None}


@pytest.mark.parametrize("words", [["canary", "--today", "2026-02-30"], ["serve", "--port", "0"]])
def test_an_invalid_argument_is_one_line_and_64(project, words, capsys):
    assert main(words) == 64
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and repr(words[-1]) in err
