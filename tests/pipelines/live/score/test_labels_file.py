"""Late labels of a file: stored as they state how they were obtained, or refused with file, row, column and value."""

from datetime import date
from types import SimpleNamespace

import pandas as pd
import pytest

from pipelines.live.score.labels_file import add_labels_file
from pipelines.monitoring.predictions import read_labels
from pipelines.runtime.errors import InputError

HEADER = "record_id,label,labeled_at,obtained\n"
GOOD = "7,card,2026-03-02T09:00:00Z,random_audit\n8,loan,2026-03-02T10:00:00+01:00,\n"


@pytest.fixture
def add(tmp_path, monkeypatch):
    schema = SimpleNamespace(labels=("card", "loan"))
    monkeypatch.setattr("pipelines.records.domain.Domain", lambda folder: SimpleNamespace(schema=schema))
    monkeypatch.setattr("pipelines.monitoring.live_state.live_folder", lambda project: tmp_path / "live")
    section = SimpleNamespace(labels_obtained="complaint")
    project = SimpleNamespace(domain_folder=tmp_path, section=lambda name, model: section)

    def call(text):
        file = tmp_path / "labels.csv"
        file.write_text(text)
        return add_labels_file(project, file)

    return call


def test_labels_are_stored_once_as_they_state_how_they_were_obtained(add, tmp_path):
    counted = {"complaint": 1, "random_audit": 1}
    assert add(HEADER + GOOD) == {"labels": 2, "added": 2, "obtained": counted}
    assert add(HEADER + GOOD)["added"] == 0
    found = read_labels(tmp_path / "live", start=date(2026, 3, 1), end=date(2026, 3, 9)).set_index("record_id")
    assert found["obtained"].to_dict() == {"7": "random_audit", "8": "complaint"}
    assert found["labeled_at"].nunique() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("record_id,label\n7,card\n", "column labeled_at is missing"),
        (HEADER.replace("obtained", "obtaned") + GOOD, "unknown column 'obtaned'"),
        (HEADER + GOOD + "9,house,2026-03-02T09:00:00Z,\n", "row 3: invalid label 'house': expected one of card, loan"),
        (HEADER + GOOD + ",card,2026-03-02T09:00:00Z,\n", "row 3: invalid record_id ''"),
        (HEADER + GOOD + "9,card,2026-03-02 09:00,\n", "row 3: invalid labeled_at '2026-03-02 09:00'"),
        (HEADER + GOOD + "9,card,2026-03-02T09:00:00Z,audit\n", "invalid obtained 'audit' in row 2"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(add, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        add(text)
    assert not (tmp_path / "live").exists()


def test_a_parquet_file_keeps_its_times(add, tmp_path):
    frame = pd.DataFrame({"record_id": ["7"], "label": ["card"], "labeled_at": [pd.Timestamp("2026-03-02", tz="UTC")]})
    frame.to_parquet(tmp_path / "labels.csv")
    with pytest.raises(InputError, match="not readable"):
        add_labels_file(SimpleNamespace(), tmp_path / "labels.csv")
