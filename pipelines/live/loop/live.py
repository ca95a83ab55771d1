"""Live weeks: records scored or served, late labels, canary evaluations, drift measurements and decisions."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.params import ServeParams
from pipelines.records.domain import Domain

if TYPE_CHECKING:
    from pipelines.runtime.project import Project

MORNING = 5  # hour (UTC) of the Monday after a week, when it is measured and decided on


class Live:
    """What happens to live records in the scenario's checkout; every function called is production's own."""

    def __init__(self, project: "Project") -> None:
        from pipelines.live.serve.commands import utc_now
        from pipelines.live.serve.service import Service

        self.project = project
        self.service = Service(project, project.section("serve", ServeParams), clock=utc_now)

    def score(self, start: date, end: date) -> dict[str, Any]:
        """Score a week with the champion, as the `score` DAG does."""
        from pipelines.live.score.scoring import score_window

        return score_window(self.project, start=start, end=end, now=self.service.clock())

    def serve(self, start: date, end: date, *, request_records: int) -> Counter[int]:
        """Answer a week's records as the service does, compact the log, and return the answers per version."""
        self.service.models.refresh()
        rows, latest = client_rows(self.project, start, end), morning(end)
        answered: Counter[int] = Counter()
        for first in range(0, len(rows), request_records):
            records = self.service.convert(rows[first:][:request_records], latest=latest).records
            answers = self.service.answer(records) if records else []
            answered.update(int(answer["model_version"]) for answer in answers)
        self.service.compact()
        return answered

    def labels(self, today: date, *, live_from: date) -> int:
        """Write the gold labels that arrived in the week before `today`; return how many were new."""
        from pipelines.live.score.scoring import late_labels

        last = today - timedelta(days=self.service.domain.schema.gold_delay_days)
        start = max(last - timedelta(days=7), live_from)
        return int(late_labels(self.project, start=start, end=last, as_of=today)["added"]) if start < last else 0

    def evaluate_canary(self, today: date) -> dict[str, Any]:
        """Evaluate the canary once and load what the aliases point to afterwards."""
        result = self.service.evaluate_canary(today)
        self.service.models.refresh()
        return result


def client_rows(project: "Project", start: date, end: date) -> list[dict[str, str | None]]:
    """Return the raw rows that clients send in a window: the simulator's, as the source delivers them."""
    import pandas as pd

    from pipelines.records.raw import strings_of_frame

    simulator = project.parameters.section("simulator")
    days = Domain(project.domain_folder).simulate(start=start, end=end, seed=project.resources.seed, **simulator)
    rows: list[dict[str, str | None]] = strings_of_frame(pd.concat(list(days)), file="simulator").to_pylist()
    return rows


def morning(day: date) -> datetime:
    """Return when the week before `day` is measured."""
    return datetime(day.year, day.month, day.day, MORNING, tzinfo=UTC)


def measure(project: "Project", start: date, end: date) -> dict[str, Any]:
    """Measure a week against the champion's profile and return the whole verdict."""
    from pipelines.live.drift.files import read_verdict
    from pipelines.live.drift.measure import Week
    from pipelines.live.drift.measure import measure as measure_week

    measured = measure_week(project, Week(start, end, now=morning(end), evidently=False))
    return read_verdict(Path(measured["verdict"]))


def decide(project: "Project", verdict: dict[str, Any], *, minutes_later: int = 0) -> dict[str, Any]:
    """Decide on a verdict."""
    from pipelines.live.drift import actions

    end = date.fromisoformat(verdict["window"]["end"])
    return actions.decide(project, verdict["key"], now=morning(end) + timedelta(minutes=minutes_later))


def confirm(project: "Project", key: str, *, run_id: str, now: datetime) -> None:
    """Record that the retraining of a key was triggered."""
    from pipelines.live.drift import actions

    actions.confirm(project, key, run_id=run_id, now=now)


def settle(project: "Project", key: str, *, run_id: str, released: int | None, minutes: float, now: datetime) -> None:
    """Record how a retraining ended, with the version that it released if it did, and how many minutes it took."""
    from pipelines.live.drift import actions, ledger

    ended = ledger.Ended("released" if released else "kept", run_id, version=released)
    actions.settle(project, key, minutes=minutes, now=now, ended=ended)


def begin_run(state: Path, request: dict[str, Any]) -> bool:
    """Return whether this call begins the run of the request's key: a key begins once, however often it is asked."""
    file = state / "runs" / f"drift__{request['key']}" / "request.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as stream:
            json.dump(request, stream, indent=2, sort_keys=True)
    except FileExistsError:
        return False
    return True
