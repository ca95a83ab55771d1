"""Which windows are refused, and which overrides of a version are reported."""

import json
from datetime import date, timedelta

import pytest

from pipelines.live.score.scoring import overridden_checks, require_window
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
