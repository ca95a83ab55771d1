"""The commands score and score-export: what they refuse before anything is read."""

import pytest

from pipelines.__main__ import main

SCORE = ["score", "--start=2026-01-05"]


def test_an_empty_window_is_one_line_and_exit_code_66(capsys, monkeypatch, repository):
    monkeypatch.chdir(repository)
    assert main([*SCORE, "--end=2026-01-04"]) == 66
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "[2026-01-05, 2026-01-04)" in err


@pytest.mark.parametrize("words", [["score"], SCORE, [*SCORE, "--end=2026-01-06", "--champion", "--model-version=1"]])
def test_wrong_usage_is_exit_code_2(words, capsys):
    assert main(words) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("words", [[*SCORE, "--end=2026-01-06"], ["score-export"]])
def test_without_a_champion_it_names_the_command_that_releases_one(words, capsys, monkeypatch, repository):
    monkeypatch.chdir(repository)
    assert main(words) == 66
    assert "make demo" in capsys.readouterr().err
