"""The commands score and score-export: what they refuse before anything is read, and the labels that they write."""

import json

import pytest
import yaml

from pipelines.__main__ import main
from tests.factories.tickets import tickets

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


@pytest.mark.slow
def test_labels_that_come_after_ninety_days_are_each_written_once(checkout, capsys, repository):
    checkout.params["score"] = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))["score"]
    checkout.set()
    schema = checkout.folder / "domain" / "schema.py"
    schema.write_text(
        schema.read_text().replace("gold_delay_days=14", "gold_delay_days=90").replace("days=14", "days=90")
    )
    checkout.csv(tickets(112))  # received from 1 January to 25 February: answers from 31 March to 25 May
    added = []
    for day, more in (
        ("2024-04-30", []),
        ("2024-06-30", ["--start=2024-05-01", "--end=2024-06-30"]),
        ("2024-07-01", []),
    ):
        assert main(["score", f"--labels-as-of={day}", f"--now={day}", *more]) == 0
        added.append(json.loads(capsys.readouterr().out)["added"])
    assert added == [60, 52, 0]
