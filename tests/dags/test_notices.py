"""What happens outside of Airflow's runs is sent once; what stays true is sent again after a while."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from orchestration.project import Project
from watching import notices

NOW = datetime.now(UTC)
MOVE = {
    "model": "m",
    "action": "release",
    "from": None,
    "to": 1,
    "who": "ana",
    "why": "better",
    "when": NOW.isoformat(),
}
STOP = {"model": "m", "version": 2, "why": "worse on 40 labels"}


def append(file: Path, line: dict) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps(line) + "\n")


class Looking:
    """The task over a state root, with a `retrain` as Airflow has it."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.sent = home, []
        project = Project(root=home, home=home, origin="", tools=home, dvc_remote="")
        self.task = notices.NoticeOperator(
            task_id="notify",
            project=project,
            watched={"retrain": timedelta(days=7)},
            grace=timedelta(hours=6),
            max_champion_days=60,
        )
        self.retrain = SimpleNamespace(is_paused=False, next_dagrun=NOW)
        monkeypatch.setattr(notices, "send", lambda project, **alert: self.sent.append(alert))

    def look(self) -> list[tuple[str, str]]:
        self.sent.clear()
        self.task.execute({"ti": SimpleNamespace(get_dag=lambda dag_id: self.retrain)})
        return [(alert["kind"], alert["message"]) for alert in self.sent]


@pytest.fixture
def looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looking:
    return Looking(tmp_path, monkeypatch)


def test_moves_and_stopped_canaries_are_sent_once_and_old_ones_never(looking: Looking) -> None:
    append(looking.home / notices.HISTORY, MOVE)
    assert looking.look() == [], "what was there before the first time is not reported"
    append(looking.home / notices.HISTORY, MOVE | {"action": "rollback", "from": 2, "to": 1, "why": "wrong on loans"})
    append(looking.home / notices.CANARIES, STOP)
    first, second = looking.look()
    assert first[0] == "rollback" and "champion 2 -> 1 by ana: wrong on loans" in first[1]
    assert second[0] == "canary" and "version 2 stopped: worse on 40 labels" in second[1]
    assert looking.look() == []


def test_a_line_that_is_being_written_is_sent_when_it_is_whole(looking: Looking) -> None:
    looking.look()
    (looking.home / notices.CANARIES).write_text(json.dumps(STOP)[:-5])
    assert looking.look() == []
    (looking.home / notices.CANARIES).write_text(json.dumps(STOP) + "\n")
    assert [kind for kind, _ in looking.look()] == ["canary"]


@pytest.mark.parametrize(
    "retrain, kind, word",
    [
        (SimpleNamespace(is_paused=True, next_dagrun=NOW), "page", "paused"),
        (SimpleNamespace(is_paused=False, next_dagrun=NOW - timedelta(days=7, hours=7)), "late", "does not exist"),
    ],
)
def test_a_paused_or_late_retrain_is_sent_once_a_day(looking: Looking, retrain, kind: str, word: str) -> None:
    assert looking.look() == []
    looking.retrain = retrain
    ((found, message),) = looking.look()
    assert found == kind and word in message
    assert looking.look() == []
    file = looking.home / "runs" / "notices.json"
    state = json.loads(file.read_text())
    state["reminded"] = {key: (NOW - timedelta(days=1)).isoformat() for key in state["reminded"]}
    file.write_text(json.dumps(state))
    assert len(looking.look()) == 1
    looking.retrain = SimpleNamespace(is_paused=False, next_dagrun=NOW)
    assert looking.look() == []


def test_a_champion_older_than_the_limit_is_sent(looking: Looking) -> None:
    append(looking.home / notices.HISTORY, MOVE | {"when": (NOW - timedelta(days=61)).isoformat()})
    ((kind, message),) = looking.look()
    assert kind == "late" and "champion 1 is 61 days old" in message
    append(looking.home / notices.HISTORY, MOVE | {"from": 1, "to": 2})
    assert [kind for kind, _ in looking.look()] == ["release"]
