"""Notify of what happens outside of Airflow's runs: moves of the champion, stopped canaries, and what is overdue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from orchestration.alerts import send
from orchestration.command import read_object
from orchestration.process import write_atomic
from orchestration.project import Project

HISTORY, CANARIES = "history.jsonl", "canaries.jsonl"  # append-only files of the state root


@dataclass(frozen=True)
class Notice:
    """One message; `key` and `again`: a reminder, which is sent again after that time as long as it is true."""

    kind: str
    message: str
    key: str = ""
    again: timedelta = timedelta()


@dataclass
class Seen:
    """What was sent: how many lines of each file, and when each reminder was."""

    lines: dict[str, int] = field(default_factory=dict)
    reminded: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path, *, home: Path) -> Seen:
        """Return what was sent before; at the very first time everything that is there counts as sent."""
        found = read_object(file)
        if found is None:
            return cls({name: len(read(home / name)) for name in (HISTORY, CANARIES)})
        return cls(dict(found["lines"]), dict(found["reminded"]))

    def write(self, file: Path) -> None:
        """Keep it."""
        write_atomic(file, json.dumps({"lines": self.lines, "reminded": self.reminded}, sort_keys=True))


def read(file: Path) -> list[dict[str, Any]]:
    """Return the lines of an append-only file; none when it does not exist."""
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def events(home: Path, seen: Seen) -> list[tuple[str, int, Notice]]:
    """Return the new lines of the history and of the canaries as notices, with the file and number of each."""
    found = []
    for name in (HISTORY, CANARIES):
        for number, line in enumerate(read(home / name)[seen.lines.get(name, 0) :], start=seen.lines.get(name, 0) + 1):
            if name == CANARIES:
                notice = Notice(
                    "canary", f"{line['model']}: canary of version {line['version']} stopped: {line['why']}"
                )
            else:
                moved = f"champion {line['from'] or 'none'} -> {line['to']} by {line['who']}: {line['why']}"
                notice = Notice(line["action"], f"{line['model']}: {line['action']}: {moved}")
            found.append((name, number, notice))
    return found


def old_champions(home: Path, *, now: datetime, max_days: float) -> list[Notice]:
    """Return a reminder for each model whose champion was moved longer ago than that."""
    last = {line["model"]: line for line in read(home / HISTORY)}
    ages = {model: (now - datetime.fromisoformat(line["when"])).days for model, line in last.items()}
    again = timedelta(days=7)
    return [
        Notice("late", f"{model}: champion {last[model]['to']} is {age} days old, more than {max_days:g}", model, again)
        for model, age in ages.items()
        if age > max_days
    ]


def overdue(dag_id: str, dag: Any, *, now: datetime, period: timedelta, grace: timedelta) -> list[Notice]:
    """Return a reminder when a scheduled DAG is paused, or its next run should exist by now and does not."""
    day = timedelta(days=1)
    if dag.is_paused:
        message = f"the DAG {dag_id} is paused: neither the schedule nor a drift trains. Unpause it on its page"
        return [Notice("page", message, f"paused {dag_id}", day)]
    due = dag.next_dagrun and dag.next_dagrun + period
    if due and now > due + grace:
        message = (
            f"the run of {dag_id} that was due at {due:%Y-%m-%d %H:%M} UTC does not exist: is the scheduler healthy?"
        )
        return [Notice("late", message, f"overdue {dag_id}", day)]
    return []


def due(notices: Iterable[Notice], seen: Mapping[str, str], *, now: datetime) -> list[Notice]:
    """Return the reminders that were not sent within their time."""
    return [
        notice
        for notice in notices
        if notice.key not in seen or now >= datetime.fromisoformat(seen[notice.key]) + notice.again
    ]


class NoticeOperator(BaseOperator):
    """Send what is new; after a crash the line that was being sent may be sent a second time.

    `watched`: DAGs that must not be paused, each with the time between two of its runs.
    """

    def __init__(
        self,
        *,
        project: Project,
        watched: Mapping[str, timedelta],
        grace: timedelta,
        max_champion_days: float,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self.project = project
        self.watched = dict(watched)
        self.grace = grace
        self.max_champion_days = max_champion_days

    def execute(self, context: Any) -> Sequence[str]:
        """Return the messages that were sent."""
        home, now, sent = self.project.home, datetime.now(UTC), []
        file = self.project.runs / "notices.json"
        seen = Seen.read(file, home=home)
        for name, number, notice in events(home, seen):
            send(self.project, message=notice.message, kind=notice.kind)
            sent.append(notice.message)
            seen.lines[name] = number
            seen.write(file)
        reminders = old_champions(home, now=now, max_days=self.max_champion_days)
        for dag_id, period in self.watched.items():
            dag = context["ti"].get_dag(dag_id)
            reminders += overdue(dag_id, dag, now=now, period=period, grace=self.grace)
        for notice in due(reminders, seen.reminded, now=now):
            send(self.project, message=notice.message, kind=notice.kind)
            sent.append(notice.message)
            seen.reminded[notice.key] = now.isoformat()
        seen.reminded = {
            key: when for key, when in seen.reminded.items() if key in {notice.key for notice in reminders}
        }
        seen.write(file)
        return sent
