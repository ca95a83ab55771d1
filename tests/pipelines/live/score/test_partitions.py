"""Partitions hold each record once, and rows of a second run add nothing."""

from datetime import UTC, date, datetime

import pandas as pd

from pipelines.live.score import partitions
from pipelines.monitoring import predictions
from pipelines.records.domain import Domain


def test_partitions_hold_every_record_once():
    records = pd.DataFrame({"id": range(11)})
    parts = partitions.cut(records, rows=4)
    assert [len(part) for part in parts] == [4, 4, 3]
    assert pd.concat(parts)["id"].tolist() == list(range(11))


def test_a_second_run_of_a_window_adds_nothing(repository, tmp_path):
    schema = Domain(repository / "pipelines" / "domains" / "complaints").schema
    records = pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(10)],
            "text": "some text",
            "received_at": pd.date_range("2026-01-05", periods=10, freq="6h", tz="UTC"),
            **dict.fromkeys(feature.name for feature in schema.features),
        }
    )
    answers = pd.DataFrame({"id": records["id"], "label": "card", "confidence": 0.9})
    added = []
    for hour in (1, 2):
        served = datetime(2026, 1, 8, hour, tzinfo=UTC)
        for part in partitions.cut(records, rows=4):
            answered = answers[answers["id"].isin(part["id"])]
            rows = partitions.as_rows(part, answered, model_version=1, served_at=served, features=schema.features)
            added.append(predictions.add_predictions(tmp_path, predictions.as_predictions(rows, schema=schema)))
    assert added == [4, 4, 2, 0, 0, 0]
    found = predictions.read_predictions(tmp_path, start=date(2026, 1, 5), end=date(2026, 1, 9))
    assert len(found) == 10
