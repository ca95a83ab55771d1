"""Which windows are refused, what is caught up with, which labels are written, and which overrides are reported."""

import json
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipelines.live.score.scoring import (
    _without_answered,
    catch_up_start,
    late_labels,
    late_start,
    overridden_checks,
    require_window,
)
from pipelines.monitoring.predictions import add_predictions
from pipelines.runtime.errors import InputError

TODAY = date(2026, 1, 10)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (date(2026, 1, 5), date(2026, 1, 5), "is empty"),
        (date(2026, 1, 6), date(2026, 1, 5), "is empty"),
        (date(2026, 1, 5), date(2026, 1, 12), "in the future"),
    ],
)
def test_a_window_without_days_or_in_the_future_is_refused(start, end, message):
    with pytest.raises(InputError, match=message):
        require_window(start=start, end=end, today=TODAY)


def test_today_may_be_scored_so_far():
    require_window(start=date(2026, 1, 10), end=date(2026, 1, 11), today=TODAY)
    with pytest.raises(InputError, match="in the future"):
        require_window(start=date(2026, 1, 10), end=date(2026, 1, 11), today=TODAY - timedelta(days=1))


def test_overridden_checks_are_read_from_the_evidence(tmp_path):
    assert overridden_checks(tmp_path) == {}
    (tmp_path / "evidence").mkdir()
    record = {
        "stage": "bias_gate",
        "checks": ["coverage_older_american"],
        "who": "ada",
        "why": "known, repaired in May",
    }
    (tmp_path / "evidence" / "override.bias_gate-0123456789ab.json").write_text(json.dumps(record))
    (tmp_path / "evidence" / "bias_gate.verdict.json").write_text("{}")
    assert overridden_checks(tmp_path) == {"bias_gate": ["coverage_older_american"]}


RECORDS = pd.DataFrame(
    {
        "id": pd.array([f"r{n}" for n in range(150)], dtype="string"),
        "received_at": pd.date_range("2025-01-06", periods=150, freq="D", tz="UTC").as_unit("us"),
    }
)
DELAY = 90


class World:
    """A source with one record per day, whose answers come after 90 days; what was read and what was scored."""

    def __init__(self, monkeypatch, tmp_path):
        self.live, self.windows = tmp_path / "live" / "shop", []
        params = SimpleNamespace(labels_obtained="random_audit")
        self.project = SimpleNamespace(domain_folder=tmp_path, section=lambda name, model: params)
        schema = SimpleNamespace(gold_delay_days=DELAY)
        monkeypatch.setattr("pipelines.records.domain.Domain", lambda folder: SimpleNamespace(schema=schema))
        monkeypatch.setattr("pipelines.monitoring.live_state.live_folder", lambda project: self.live)
        monkeypatch.setattr("pipelines.stages.ingest.window.read_window", self.read)

    def read(self, project, *, start, end):
        self.windows.append((start, end))
        days = RECORDS["received_at"].dt.date
        found = RECORDS[(days >= start) & (days < end)].reset_index(drop=True)
        gold_at = found["received_at"] + timedelta(days=DELAY)
        arrived = gold_at < pd.Timestamp(end, tz="UTC")
        return found.assign(gold=np.where(arrived, "refund", None), gold_at=gold_at.where(arrived)), {"passed": True}

    def labels(self, as_of):
        return late_labels(self.project, start=late_start(self.project, as_of=as_of), end=as_of, as_of=as_of)


def test_each_label_is_written_whatever_the_delay_of_the_domain(monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    added = [world.labels(date(2025, 4, 1) + timedelta(days=10 * n))["added"] for n in range(24)]
    assert sum(added) == 150 and max(added) <= 10


def test_after_an_outage_the_labels_that_arrived_in_it_are_written(monkeypatch, tmp_path):
    world = World(monkeypatch, tmp_path)
    assert world.labels(date(2025, 4, 16))["added"] == 10
    assert world.labels(date(2026, 4, 1))["added"] == 140
    assert world.labels(date(2026, 4, 2))["added"] == 0
    assert world.windows[-1][0] == date(2026, 4, 1) - timedelta(days=2 * DELAY + 7)  # as short as before the outage


def test_catching_up_starts_with_late_rows_and_missed_days(tmp_path):
    def scored(*days):
        for day in days:
            file = tmp_path / "predictions" / f"day={day}" / "part.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    today = date(2026, 3, 31)
    assert catch_up_start(tmp_path, start=today, delay=14) == today  # nothing is missing before scoring began
    scored(date(2026, 3, 25))
    assert catch_up_start(tmp_path, start=today, delay=14) == date(2026, 3, 25)
    scored(date(2026, 1, 1))
    assert catch_up_start(tmp_path, start=today, delay=14) == date(2026, 3, 17)
    assert catch_up_start(tmp_path, start=date(2026, 6, 1), delay=14) == date(2026, 3, 25)  # an outage of two months


def test_records_before_the_window_are_scored_only_without_an_answer(tmp_path):
    before, start = date(2025, 1, 6), date(2025, 1, 20)
    answered = RECORDS.iloc[:10:2].rename(columns={"id": "record_id"}).assign(model_version=1, role="champion")
    add_predictions(tmp_path, answered)
    left = _without_answered(RECORDS.iloc[:20], tmp_path, first=before, start=start)
    assert left["id"].tolist() == [f"r{n}" for n in range(20) if n not in (0, 2, 4, 6, 8)]
    assert len(_without_answered(RECORDS.iloc[:20], tmp_path / "new", first=before, start=start)) == 20
