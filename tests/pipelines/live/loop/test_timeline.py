"""The timeline: drawing, table and JSON file."""

import json
from datetime import date

import pytest

from pipelines.live.loop import timeline
from pipelines.live.loop.evidence import Claim, State
from pipelines.live.loop.params import Scenario
from pipelines.live.loop.scenario import Event

SCENARIO = Scenario(
    trained_from=date(2025, 7, 7),
    live_from=date(2026, 1, 5),
    drift_from=date(2026, 1, 12),
    max_weeks=10,
    clear_weeks=1,
    request_records=32,
)
EVENTS = [
    Event(date(2026, 1, 5), "decision", "release", None, None),
    Event(date(2026, 1, 5), "first champion", "version 1 is released", 1, None),
    Event(date(2026, 1, 19), "breach", "company", 1, None),
    Event(date(2026, 1, 19), "challenger", "version 2", 1, 2),
    Event(date(2026, 2, 23), "canary completed", "version 2", 2, None),
]


def verdict(start: str, outcome: str, excess: float | None) -> dict:
    columns = {"company": {"source": "input", "excess": excess}, "label": {"source": "prediction", "excess": 9.0}}
    return {"window": {"start": start}, "outcome": outcome, "columns": columns}


@pytest.mark.slow
@pytest.mark.parametrize("events", [EVENTS, [], EVENTS[:1]])
def test_a_drawing_is_made_of_whatever_happened(tmp_path, events):
    verdicts = [verdict("2026-01-05", "steady", None), verdict("2026-01-12", "breach", 0.4)] if events else []
    state = State([], [], verdicts, [], [], {}, {}, 1, None)
    timeline.draw(events, state, scenario=SCENARIO, limits={"alert": 0.1, "breach": 0.2}, folder=tmp_path)
    assert (tmp_path / "timeline.svg").read_text().startswith("<?xml")
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("held", "failure", "passed"), [(True, None, True), (False, None, False), (True, "no", False)])
def test_passed_means_every_claim_and_no_failure(tmp_path, held, failure, passed):
    claims = [Claim("breach", True, "seen"), Claim("rolled back", held, "seen")]
    timeline.write_data(tmp_path / "loop.json", EVENTS, claims, seconds=1.23, failure=failure)
    content = json.loads((tmp_path / "loop.json").read_text())
    assert content["passed"] is passed
    assert [event["day"] for event in content["events"]][:2] == ["2026-01-05", "2026-01-05"]


def test_the_table_names_what_is_missing_and_where_to_look(tmp_path, capsys):
    timeline.show(EVENTS, [Claim("rolled back", False, "no move")], folder=tmp_path, seconds=60)
    shown = capsys.readouterr().out
    assert "NO" in shown and "rolled back" in shown and "timeline.svg" in shown
    assert "v1 (challenger v2)" in shown
