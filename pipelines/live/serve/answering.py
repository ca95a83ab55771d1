"""Answer one batch of live records: which model answers which record, what is logged, what the clients get."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.canary import is_canary
from pipelines.live.serve.challenger import Job, Pending, Row, Runner, shown
from pipelines.monitoring.predictions import SCHEMA_VERSION, feature_column
from pipelines.records.conversion import to_live_records
from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.live.serve.journal import Journal
    from pipelines.live.serve.metrics import Metrics
    from pipelines.live.serve.models import Loaded, Models
    from pipelines.live.serve.params import CanaryParams
    from pipelines.records.domain import Domain

ROUNDING = 1e-6  # that a probability may be above 1


@dataclass(frozen=True)
class LiveRecord:
    """One record of a request: `id`, `received_at`, `text` and features by name."""

    values: Row
    converted: bool = False  # made of a raw row: cleaned, derived and redacted already


class Answerer:
    """Answers records with the champion or, for its share, the challenger, which sees all others in the shadow."""

    def __init__(
        self,
        models: Models,
        *,
        domain: Domain,
        journal: Journal,
        metrics: Metrics,
        params: CanaryParams,
        canary_share: Callable[[], float],
        clock: Callable[[], datetime],
    ) -> None:
        self._models = models
        self._domain = domain
        self._journal = journal
        self._metrics = metrics
        self._params = params
        self._canary_share = canary_share
        self._clock = clock
        self._challenger: tuple[Loaded, Runner] | None = None

    def __call__(self, records: list[LiveRecord]) -> list[Row]:
        """Return one answer per record, in order, after the challenger has seen all of them, however long it takes."""
        answers = [item.answer.result() if isinstance(item, Pending) else item for item in self.begin(records)]
        if self._challenger is not None:
            self._challenger[1].drain()
        return answers

    def begin(self, records: list[LiveRecord]) -> list[Row | Pending]:
        """Return one answer per record, in order; one of the canary is pending until the challenger has answered."""
        pair = self._models.pair
        frame = self._frame(records)
        champion = self._ask(pair.champion, frame)
        answers: list[Row | Pending] = [*_answers(self._seen(frame), champion, version=pair.champion.version)]
        runner = self._runner(pair.challenger)
        if runner is not None and pair.challenger is not None:
            answers = self._submit(runner, frame, answers, version=pair.challenger.version)
        rows = [row for row in answers if not isinstance(row, Pending)]
        if rows:
            self._journal.write(rows)
            self._metrics.answered(rows)
        return [row if isinstance(row, Pending) else shown(row) for row in answers]

    def stuck_seconds(self) -> float:
        """Return for how long the challenger's present call has been running."""
        return self._challenger[1].stuck_seconds() if self._challenger is not None else 0.0

    def close(self) -> None:
        """End the challenger's thread; what it has not answered is dropped."""
        self._runner(None)

    def _runner(self, challenger: Loaded | None) -> Runner | None:
        """Return the thread of the present challenger; an earlier one ends, or is left behind where it hangs."""
        known = self._challenger
        if known is not None and known[0] is not challenger:
            known[1].close()
            known = self._challenger = None
        if challenger is None:
            return None
        if known is None:
            known = (
                challenger,
                Runner(
                    lambda job: _answers(job.seen, self._ask(challenger, job.frame), version=challenger.version),
                    log=self._log_late,
                    max_waiting=self._params.max_waiting,
                    metrics=self._metrics,
                ),
            )
            self._challenger = known
        return known[1]

    def _submit(self, runner: Runner, frame: pd.DataFrame, answers: list[Any], *, version: int) -> list[Row | Pending]:
        """Hand every record to the challenger, and return the answers with those of the canary pending."""

        def late() -> None:
            self._metrics.failed(version)

        share, salt = self._canary_share(), str(version)
        trial = [is_canary(name, share=share, salt=salt) for name in frame["id"].astype(str)]
        pending = [
            Pending(row, log=self._log_late, late=late) for row, canary in zip(answers, trial, strict=True) if canary
        ]
        others = [place for place, canary in enumerate(trial) if not canary]
        places = [place for place, canary in enumerate(trial) if canary]
        if pending and runner.submit(
            Job(frame.iloc[places].reset_index(drop=True), [answers[p] for p in places], pending)
        ):
            for place, item in zip(places, pending, strict=True):
                answers[place] = item
        if others:
            runner.submit(Job(frame.iloc[others].reset_index(drop=True), [answers[place] for place in others]))
        return answers

    def _log_late(self, rows: list[Row]) -> None:
        self._journal.write(rows)
        self._metrics.answered([row for row in rows if row["role"] != "shadow"])

    def _frame(self, records: list[LiveRecord]) -> pd.DataFrame:
        """Return the records, in order, in the form that training saw."""
        import pandas as pd

        live = [place for place, record in enumerate(records) if not record.converted]
        ready = [place for place, record in enumerate(records) if record.converted]
        if not ready:
            return to_live_records(pd.DataFrame([record.values for record in records]), domain=self._domain)
        kinds = {item.name: "string" if item.kind == "category" else "float64" for item in self._domain.schema.features}
        frame = pd.DataFrame([records[place].values for place in ready]).astype({"text": "string", **kinds})
        if live:
            given = to_live_records(pd.DataFrame([records[place].values for place in live]), domain=self._domain)
            frame = pd.concat([frame, given[frame.columns]], ignore_index=True)
            frame = frame.iloc[sorted(range(len(records)), key=[*ready, *live].__getitem__)].reset_index(drop=True)
        return frame

    def _ask(self, model: Loaded, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a model's answers after checking all of them: whatever it returns, none but valid ones go on."""
        began = time.perf_counter()
        try:
            answer = checked(model.predictor.predict(frame), frame, labels=self._domain.schema.labels)
        except Exception:
            self._metrics.failed(model.version)
            raise
        self._metrics.called(model.version, records=len(frame), seconds=time.perf_counter() - began)
        return answer

    def _seen(self, frame: pd.DataFrame) -> list[Row]:
        """Return the fields of the log that do not depend on the model that answers."""
        columns = {feature_column(item): _cells(frame[item.name]) for item in self._domain.schema.features}
        names, received = frame["id"].astype(str).tolist(), frame["received_at"].tolist()
        lengths, now = frame["text"].str.len().tolist(), _iso(self._clock())
        return [
            {
                "schema_version": SCHEMA_VERSION,
                "request_id": uuid.uuid4().hex,
                "record_id": names[place],
                "received_at": _iso(received[place]),
                "served_at": now,
                "text_length": int(lengths[place]),
                "features": {name: values[place] for name, values in columns.items()},
            }
            for place in range(len(frame))
        ]


def checked(answer: Any, frame: pd.DataFrame, *, labels: Collection[str]) -> pd.DataFrame:
    """Return a model's answers to the records of a frame; InputError names what no answer may be."""
    import numpy as np
    import pandas as pd

    if not isinstance(answer, pd.DataFrame) or not {"label", "confidence"} <= {*answer.columns}:
        raise InputError("the model returned no table with the columns label and confidence")
    if len(answer) != len(frame):
        raise InputError(f"the model returned {len(answer)} answers to {len(frame)} records")
    if "id" in answer.columns and answer["id"].astype(str).tolist() != frame["id"].astype(str).tolist():
        raise InputError("the model returned its answers in another order than that of the records")
    unknown = {str(label) for label in answer["label"].unique()} - {*labels}
    if unknown:
        raise InputError(f"the model answered {min(unknown)!r}: expected one of {', '.join(labels)}")
    confidence = pd.to_numeric(answer["confidence"], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    valid = (confidence >= 0) & (confidence <= 1 + ROUNDING)
    if not valid.all():
        raise InputError(f"the model answered with confidence {confidence[~valid][0]}: expected a number from 0 to 1")
    return answer.assign(confidence=np.minimum(confidence, 1.0))


def _answers(seen: list[Row], answer: pd.DataFrame, *, version: int) -> list[Row]:
    labels, confidences = answer["label"].tolist(), answer["confidence"].tolist()
    return [
        {**row, "model_version": version, "role": "champion", "label": str(label), "confidence": float(confidence)}
        for row, label, confidence in zip(seen, labels, confidences, strict=True)
    ]


def _cells(column: pd.Series) -> list[Any]:
    """Return plain values, None where null; pandas' own `where` takes longer than a small network's answer."""
    return [cell if known else None for cell, known in zip(column.tolist(), column.notna().tolist(), strict=True)]


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
