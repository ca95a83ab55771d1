"""What became of a triggered retraining is found in Airflow's own state, recorded once, and paged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from orchestration.operators import CommandOperator
from orchestration.project import Project
from watching import runs

NOW = datetime(2026, 3, 16, 5, tzinfo=UTC)
LIMITS = {"max_queued_hours": 6.0, "max_running_hours": 24.0}


class Ti:
    """Airflow's state of one run of `retrain`; None where it has none."""

    def __init__(self, state: str | None, *, paused: bool = False) -> None:
        self.state, self.paused = state, paused

    def get_dr_count(self, *, dag_id: str, run_ids: list[str]) -> int:
        return int(self.state is not None)

    def get_dagrun_state(self, *, dag_id: str, run_id: str) -> str | None:
        return self.state

    def get_dag(self, dag_id: str) -> SimpleNamespace:
        return SimpleNamespace(is_paused=self.paused)


@pytest.mark.parametrize(
    "ti, hours, outcome, word",
    [
        (Ti(None), 1, "failed", "deleted"),
        (Ti("failed"), 1, "failed", "failed"),
        (Ti("success"), 1, "failed", "marked as success"),
        (Ti("queued"), 7, "never_started", "7 hours"),
        (Ti("queued", paused=True), 7, "never_started", "paused"),
        (Ti("queued", paused=True), 1, None, "paused"),
        (Ti("running"), 25, "failed", "25 hours"),
    ],
)
def test_a_run_that_ended_without_a_report_or_is_stuck_has_an_outcome(ti, hours, outcome, word) -> None:
    run = {"key": "k", "run_id": "drift__k", "at": (NOW - timedelta(hours=hours)).isoformat()}
    found, why = runs.how_it_ended(ti, run, dag_id="retrain", limits=LIMITS, now=NOW)
    assert found == outcome and word in why


@pytest.mark.parametrize("ti, hours", [(Ti("queued"), 5), (Ti("running"), 23)])
def test_a_run_that_waits_or_works_within_its_limits_has_none(ti, hours) -> None:
    run = {"key": "k", "run_id": "drift__k", "at": (NOW - timedelta(hours=hours)).isoformat()}
    assert runs.how_it_ended(ti, run, dag_id="retrain", limits=LIMITS, now=NOW) is None


def test_each_is_settled_by_a_command_and_paged(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(root=tmp_path, home=tmp_path, origin="", tools=tmp_path, dvc_remote="")
    task = runs.SettleRunsOperator(
        task_id="settle_runs", project=project, trigger_dag_id="retrain", arguments=["runs"], settle=["settle"]
    )
    listed = {"open": [{"key": "k", "run_id": "drift__k", "at": NOW.isoformat()}], **LIMITS}
    monkeypatch.setattr(CommandOperator, "execute", lambda self, context: listed)
    settled: list[list[str]] = []
    sent: list[dict[str, Any]] = []
    for name in ("workspace", "take_over"):
        monkeypatch.setattr(task, name, lambda *rest: None)
    monkeypatch.setattr(task, "follow", lambda workspace, command, arguments: settled.append(arguments))
    monkeypatch.setattr(runs, "send", lambda project, **alert: sent.append(alert))
    assert task.execute({"ti": Ti("failed")}) == {"drift__k": "failed"}
    assert settled == [
        ["settle", "--check", "--key=k", "--run-id=drift__k", "--outcome=failed", "--why=failed"],
    ]
    assert sent[0]["kind"] == "page" and "drift__k" in sent[0]["message"]
