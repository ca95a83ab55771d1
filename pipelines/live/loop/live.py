"""Live weeks: new complaints scored or served, late labels, the canary looked at, drift measured and decided on."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.params import ServeParams
from pipelines.monitoring.live_state import live_folder
from pipelines.records.domain import Domain

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.live.release.registry import Registry
    from pipelines.runtime.project import Project

MORNING = 5  # o'clock on the Monday after a week: when it is measured and decided on


class Live:
    """What happens to live records in the scenario's checkout and state root; the functions are those of production."""

    def __init__(self, project: "Project", registry: "Registry") -> None:
        from pipelines.live.serve.answering import Answerer
        from pipelines.live.serve.journal import Journal
        from pipelines.live.serve.metrics import Metrics
        from pipelines.live.serve.models import Models
        from pipelines.live.serve.service import journal_folder

        self.project = project
        self.registry = registry
        self.live = live_folder(project)
        self.domain = Domain(project.domain_folder)
        self.params = project.section("serve", ServeParams)
        self.metrics = Metrics()
        self.models = Models(
            registry, domain=self.domain, threads=project.resources.threads, exports=project.state / "exports"
        )
        self.journal = Journal(
            journal_folder(self.live), segment_bytes=self.params.segment_bytes, fsync_seconds=self.params.fsync_seconds
        )
        self.answerer = Answerer(
            self.models,
            domain=self.domain,
            journal=self.journal,
            metrics=self.metrics,
            canary_share=lambda: self.params.canary.share,
        )

    def score(self, start: date, end: date) -> dict[str, Any]:
        """Score a week with the champion, as the `score` DAG does."""
        from pipelines.live.score.scoring import score_window

        return score_window(self.project, start=start, end=end)

    def serve(self, start: date, end: date, *, request_records: int) -> Counter[int]:
        """Answer a week's records as the service does, compact the log; returns the answers by version."""
        from pipelines.live.serve.journal import compact

        self.models.refresh()
        records = clients(self.project, start, end).to_dict("records")
        answered: Counter[int] = Counter()
        for first in range(0, len(records), request_records):
            answers = self.answerer(
                [
                    {str(key): value for key, value in record.items()}
                    for record in records[first : first + request_records]
                ]
            )
            answered.update(int(answer["model_version"]) for answer in answers)
        self.journal.close()
        compact(self.journal.folder, schema=self.domain.schema, live=self.live)
        return answered

    def labels(self, today: date, *, live_from: date) -> int:
        """Write the gold labels that came in the week before `today`; returns how many."""
        from pipelines.live.score.scoring import late_labels

        last = today - timedelta(days=self.domain.schema.gold_delay_days)
        start = max(last - timedelta(days=7), live_from)
        return int(late_labels(self.project, start=start, end=last, as_of=today)["added"]) if start < last else 0

    def evaluate_canary(self, today: date) -> dict[str, Any]:
        """Evaluate the canary once and load what the aliases point to afterwards."""
        from pipelines.live.serve.trial import evaluate_canary

        result = evaluate_canary(
            self.registry, live=self.live, params=self.params.canary, today=today, metrics=self.metrics
        )
        self.models.refresh()
        return result


def clients(project: "Project", start: date, end: date) -> "pd.DataFrame":
    """What the service's clients send in a window: the simulator's records as they come, text and known features."""
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
    """When the week before `day` is looked at."""
    return datetime(day.year, day.month, day.day, MORNING, tzinfo=UTC)


def measure(project: "Project", start: date, end: date) -> dict[str, Any]:
    """Measure a week against the champion's profile; the whole verdict."""
    from pipelines.live.drift import job

    said = job.measure(
        project,
        start=start,
        end=end,
        version=None,
        previous=None,
        profile_folder=None,
        now=morning(end),
        texts=False,
        evidently=False,
    )
    return job.read_verdict(live_folder(project) / "drift" / said["key"] / "verdict.json")


def decide(project: "Project", verdict: dict[str, Any], *, minutes_later: int = 0) -> dict[str, Any]:
    """Walk the decision tree for a verdict."""
    from pipelines.live.drift import job

    end = date.fromisoformat(verdict["window"]["end"])
    return job.decide(project, verdict["key"], now=morning(end) + timedelta(minutes=minutes_later))


def confirm(project: "Project", key: str, *, run_id: str, now: datetime) -> None:
    """Say that the retraining of a key was triggered."""
    from pipelines.live.drift import job

    job.confirm(project, key, run_id=run_id, now=now)


def settle(project: "Project", key: str, *, minutes: float, now: datetime) -> None:
    """Say what a retraining took."""
    from pipelines.live.drift import job

    job.settle(project, key, minutes=minutes, now=now)


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
