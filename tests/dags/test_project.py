"""Every place that a variable names is absolute, whatever folder a worker is in."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from orchestration.project import Project


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ROOT", "HOME", "ORIGIN", "TOOLS", "DVC_REMOTE"):
        monkeypatch.delenv(f"PLACES_{name}", raising=False)

    def make(**given: str) -> Project:
        for name, value in given.items():
            monkeypatch.setenv(f"PLACES_{name}", value)
        return Project.from_environment("PLACES", root=Path("/srv/project"))

    return make


def test_relative_places_start_at_the_checkout(opened):
    made = opened(HOME="/srv/home", ORIGIN="../origin.git", TOOLS=".venv/bin", DVC_REMOTE="remote")
    assert (made.origin, made.dvc_remote) == ("/srv/project/../origin.git", "/srv/project/remote")
    assert made.tools == Path("/srv/project/.venv/bin")
    assert made.exported == {"PLACES_HOME": "/srv/home", "PLACES_ROOT": "/srv/project"}


@pytest.mark.parametrize("address", ["https://host/a.git", "git@host:a.git", "s3://bucket/dvc", "/mnt/dvc"])
def test_addresses_and_absolute_places_stay(opened, address):
    made = opened(HOME="/srv/home", ORIGIN=address, DVC_REMOTE=address)
    assert made.origin == made.dvc_remote == address


@pytest.mark.parametrize(
    ("cron", "begin"), [("*/10 * * * *", (11, 14, 0)), ("30 * * * *", (11, 13, 30)), ("0 5 * * *", (11, 5, 0))]
)
def test_the_first_interval_of_a_schedule_holds_the_set_up(opened, cron, begin):
    made = opened(SCHEDULES_FROM="2026-03-11T14:07:03")
    day, hour, minute = begin
    assert made.first_interval(cron) == datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def test_a_relative_state_root_is_refused(opened):
    with pytest.raises(ValueError, match="PLACES_HOME"):
        opened(HOME="home")
