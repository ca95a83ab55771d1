"""Scoring a window: clear refusals, and rows that a second run does not add again."""

import json
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from pipelines.live.score import partitions
from pipelines.live.score.__main__ import main, overridden, require_window
from pipelines.monitoring import predictions
from pipelines.records.domain import load_domain
from pipelines.runtime.errors import InputError

TODAY = date(2026, 1, 10)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (date(2026, 1, 5), date(2026, 1, 5), "is empty"),
        (date(2026, 1, 6), date(2026, 1, 5), "is empty"),
        (date(2026, 1, 5), date(2026, 1, 12), "in the future"),
    ],
)
def test_a_window_without_days_or_in_the_future_is_refused(start, end, said):
    with pytest.raises(InputError, match=said):
        require_window(start=start, end=end, today=TODAY)


def test_today_may_be_scored_so_far():
    require_window(start=date(2026, 1, 10), end=date(2026, 1, 11), today=TODAY)
    with pytest.raises(InputError, match="in the future"):
        require_window(start=date(2026, 1, 10), end=date(2026, 1, 11), today=TODAY - timedelta(days=1))


def test_the_command_says_what_is_wrong_and_exits_66(capsys, monkeypatch, repository):
    monkeypatch.chdir(repository)
    assert main(["--start", "2026-01-05", "--end", "2026-01-04"]) == 66
    assert "start before end" in capsys.readouterr().err


@pytest.mark.slow
def test_without_a_champion_it_says_how_to_get_one(capsys, monkeypatch, repository):
    monkeypatch.chdir(repository)
    assert main(["--start", "2026-01-05", "--end", "2026-01-06"]) == 66
    assert "no champion yet" in capsys.readouterr().err


def test_a_second_run_of_a_window_adds_nothing(repository, tmp_path):
    schema = load_domain(repository / "pipelines" / "domains" / "complaints").schema
    features = [feature.name for feature in schema.features]
    records = pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(10)],
            "text": "some text",
            "received_at": pd.date_range("2026-01-05", periods=10, freq="6h", tz="UTC"),
            **dict.fromkeys(features),
        }
    )
    answers = pd.DataFrame({"id": records["id"], "label": "card", "confidence": 0.9})
    added = []
    for hour in (1, 2):
        served = datetime(2026, 1, 8, hour, tzinfo=UTC)
        for part in partitions.cut(records, rows=4):
            said = answers[answers["id"].isin(part["id"])]
            rows = partitions.as_rows(part, said, model_version=1, served_at=served, features=features)
            added.append(predictions.add_predictions(tmp_path, predictions.as_predictions(rows, schema=schema)))
    assert added == [4, 4, 2, 0, 0, 0]
    found = predictions.read_predictions(tmp_path, start=date(2026, 1, 5), end=date(2026, 1, 9))
    assert len(found) == 10


def test_checks_that_were_let_pass_are_named_from_the_evidence(tmp_path):
    assert overridden(tmp_path) == {}
    (tmp_path / "evidence").mkdir()
    record = {"stage": "bias_gate", "checks": ["coverage_older_american"], "who": "ada", "why": "known, mended in May"}
    (tmp_path / "evidence" / "override.bias_gate-0123456789ab.json").write_text(json.dumps(record))
    (tmp_path / "evidence" / "bias_gate.verdict.json").write_text("{}")
    assert overridden(tmp_path) == {"bias_gate": ["coverage_older_american"]}


def test_partitions_hold_every_record_once():
    records = pd.DataFrame({"id": range(11)})
    parts = partitions.cut(records, rows=4)
    assert [len(part) for part in parts] == [4, 4, 3]
    assert pd.concat(parts)["id"].tolist() == list(range(11))
