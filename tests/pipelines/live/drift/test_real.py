"""Ten years of real complaints: the alarm rings at the form's change in April 2017, and not in quiet years."""

import json
from datetime import date

import pytest

from pipelines.live.drift.replay_job import replay


@pytest.mark.slow
@pytest.mark.realdata
def test_the_changed_form_breaches_and_quiet_years_do_not(real_data, tmp_path):
    file = real_data / "cfpb" / "tabular_3m.parquet"
    if not file.exists():
        pytest.skip(f"real data: {file} is not there")
    replay(
        source=str(file),
        start=date(2011, 12, 5),
        end=None,
        weeks=52,
        every="week",
        shift_hours=7,
        time_column="date_received",
        columns="issue,submitted_via,company_response,consumer_consent_provided,consumer_disputed",
        out=tmp_path,
    )
    looks = json.loads((tmp_path / "replay.json").read_text())["looks"]
    assert any("issue" in look["breaches"] for look in looks if "2017-04-24" < look["end"] <= "2017-05-15")
    assert not [look["end"] for look in looks if look["breaches"] and "2018-07-01" < look["end"] <= "2020-01-01"]
