"""Answer one batch of live records: which model answers which record, what is logged, what the clients get."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.canary import is_canary
from pipelines.monitoring.predictions import SCHEMA_VERSION, feature_column
from pipelines.records.conversion import to_live_records

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.live.serve.journal import Journal
    from pipelines.live.serve.metrics import Metrics
    from pipelines.live.serve.models import Loaded, Models
    from pipelines.records.domain import Domain

logger = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True)
class LiveRecord:
    """One record of a request: `id`, `received_at`, `text` and features by name."""

    values: Row
    converted: bool = False  # made of a raw row: cleaned, derived and redacted already


class Answerer:
    """Answers records with the champion or, for its share, the challenger; the other one answers in the shadow."""

    def __init__(
        self,
        models: Models,
        *,
        domain: Domain,
        journal: Journal,
        metrics: Metrics,
        canary_share: Callable[[], float],
        clock: Callable[[], datetime],
    ) -> None:
        self._models = models
        self._domain = domain
        self._journal = journal
        self._metrics = metrics
        self._canary_share = canary_share
        self._clock = clock

    def __call__(self, records: list[LiveRecord]) -> list[Row]:
        """Return one answer per record, in order: {id, label, confidence, model_version, request_id}."""
        pair = self._models.pair
        frame = self._frame(records)
        champion = self._ask(pair.champion, frame)
        challenger = None if pair.challenger is None else self._try(pair.challenger, frame)
        seen = self._seen(frame)
        if pair.challenger is None or challenger is None:
            answers = _answers(seen, champion, version=pair.champion.version, roles=["champion"] * len(seen))
            logged = answers
        else:
            share, salt = self._canary_share(), str(pair.challenger.version)
            trial = [is_canary(row["record_id"], share=share, salt=salt) for row in seen]
            by_champion = _answers(
                seen, champion, version=pair.champion.version, roles=["shadow" if c else "champion" for c in trial]
            )
            by_challenger = _answers(
                seen, challenger, version=pair.challenger.version, roles=["canary" if c else "shadow" for c in trial]
            )
            answers = [
                new if canary else old for canary, old, new in zip(trial, by_champion, by_challenger, strict=True)
            ]
            logged = [*by_champion, *by_challenger]
        self._journal.write(logged)
        self._metrics.answered(answers)
        return [
            {
                "id": row["record_id"],
                "label": row["label"],
                "confidence": row["confidence"],
                "model_version": row["model_version"],
                "request_id": row["request_id"],
            }
            for row in answers
        ]

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
        began = time.perf_counter()
        try:
            answer = model.predictor.predict(frame)
        except Exception:
            self._metrics.failed(model.version)
            raise
        self._metrics.called(model.version, records=len(frame), seconds=time.perf_counter() - began)
        return answer

    def _try(self, challenger: Loaded, frame: pd.DataFrame) -> pd.DataFrame | None:
        try:
            return self._ask(challenger, frame)
        except Exception:
            logger.exception("challenger %s failed; the champion answers", challenger.version)
            return None

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


def _answers(seen: list[Row], answer: pd.DataFrame, *, version: int, roles: list[str]) -> list[Row]:
    labels, confidences = answer["label"].tolist(), answer["confidence"].tolist()
    return [
        {**row, "model_version": version, "role": role, "label": str(label), "confidence": float(confidence)}
        for row, role, label, confidence in zip(seen, roles, labels, confidences, strict=True)
    ]


def _cells(column: pd.Series) -> list[Any]:
    """Return plain values, None where null; pandas' own `where` takes longer than a small network's answer."""
    return [cell if known else None for cell, known in zip(column.tolist(), column.notna().tolist(), strict=True)]


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
