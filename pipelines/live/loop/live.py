"""Live weeks: records scored or served, late labels, canary evaluations, drift measurements and decisions."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.params import ServeParams
from pipelines.records.domain import Domain

if TYPE_CHECKING:
    import pandas as pd

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

        return score_window(self.project, start=start, end=end)

    def serve(self, start: date, end: date, *, request_records: int) -> Counter[int]:
        """Answer a week's records as the service does, compact the log, and return the answers per version."""
        self.service.models.refresh()
        records = clients(self.project, start, end).to_dict("records")
        answered: Counter[int] = Counter()
        for first in range(0, len(records), request_records):
            request = [{str(key): value for key, value in row.items()} for row in records[first:][:request_records]]
            answered.update(int(answer["model_version"]) for answer in self.service.answer(request))
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


def clients(project: "Project", start: date, end: date) -> "pd.DataFrame":
    """Return what clients send in a window: the simulator's records with their text as written and known features."""
    import pandas as pd

    domain = Domain(project.domain_folder)
    simulator = project.parameters.section("simulator")
    days = domain.simulate(start=start, end=end, seed=project.resources.seed, **simulator)
    raw = pd.concat([day.assign(_file="live", _row=range(len(day))) for day in days], ignore_index=True)
    records = domain.to_records(domain.normalize(raw.astype(object).where(raw.notna(), None)))
    records = records[records["text"].fillna("") != ""].drop_duplicates("id")
    names = [feature.name for feature in domain.schema.features]
    return records[["id", "received_at", "text", *names]].reset_index(drop=True)


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


def settle(project: "Project", key: str, *, minutes: float, now: datetime) -> None:
    """Record how many minutes a retraining took."""
    from pipelines.live.drift import actions

    actions.settle(project, key, minutes=minutes, now=now)


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
