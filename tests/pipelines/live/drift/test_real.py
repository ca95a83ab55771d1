"""Ten years of real complaints: a breach when the form changed in April 2017, and none in quiet years."""

import json
from datetime import date

import pytest

from pipelines.live.drift.replay_history import Replay, replay
from pipelines.runtime.project import Project


@pytest.mark.slow
@pytest.mark.realdata
def test_the_changed_form_breaches_and_quiet_years_do_not(real_data, tmp_path):
    file = real_data / "cfpb" / "tabular_3m.parquet"
    if not file.exists():
        pytest.skip(f"real data: {file} is not there")
    wanted = Replay(
        source=str(file),
        start=date(2011, 12, 5),
        weeks=52,
        every="week",
        shift_hours=7,
        time_column="date_received",
        columns="issue,submitted_via,company_response,consumer_consent_provided,consumer_disputed",
        out=tmp_path,
    )
    replay(Project.open(), wanted)
    weeks = json.loads((tmp_path / "replay.json").read_text())["evaluations"]
    assert any("issue" in week["breaches"] for week in weeks if "2017-04-24" < week["end"] <= "2017-05-15")
    assert not [week["end"] for week in weeks if week["breaches"] and "2018-07-01" < week["end"] <= "2020-01-01"]
