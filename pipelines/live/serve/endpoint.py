"""What POST /predict does with a validated body: records and raw rows through the batcher, errors as status codes."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import Response
from fastapi.concurrency import run_in_threadpool

from pipelines.live.serve.answering import LiveRecord
from pipelines.live.serve.batching import Batcher, Overloaded
from pipelines.live.serve.schemas import CLOCK_SKEW
from pipelines.runtime.errors import InputError, PerennialError

if TYPE_CHECKING:
    from pipelines.live.serve.metrics import Metrics
    from pipelines.live.serve.raw_rows import RowConverter

logger = logging.getLogger(__name__)

SHOWN_CHARS = 1000
Row = dict[str, Any]


class UnreadableRows(PerennialError):
    """The columns of the raw rows cannot be read."""


@dataclass(frozen=True)
class Backend:
    """What the app calls: everything behind the HTTP layer."""

    answer: Callable[[list[LiveRecord]], list[Any]]  # n records -> n answers, some pending, in the same order
    convert: RowConverter
    ready: Callable[[], bool]  # whether a model is loaded
    stop: Callable[[], None]  # runs after the last answer
    problem: Callable[[], str | None] = lambda: None  # why no answer can be given, although a model is loaded


@dataclass(frozen=True)
class Endpoint:
    """Answers the bodies of POST /predict; `clock` returns the current time with a time zone."""

    backend: Backend
    batcher: Batcher
    metrics: Metrics
    clock: Callable[[], datetime]

    async def __call__(self, body: Any) -> Response:
        """Answer one record, several records or raw rows; `body` is a model of `schemas.request_model`."""
        if not self.backend.ready():
            return json_response(503, {"detail": "no model is loaded yet: see /readyz"}, retry=True)
        try:
            if hasattr(body, "raw"):
                return json_response(200, await self._answer_rows(body.raw))
            records = [self._record(record) for record in getattr(body, "records", [body])]
            return json_response(200, {"predictions": await self.batcher.answer(records)})
        except UnreadableRows as error:
            return json_response(422, {"detail": str(error)[:SHOWN_CHARS]})
        except Overloaded as error:
            return json_response(503, {"detail": str(error)}, retry=True)
        except PerennialError as error:
            logger.error("a request was not answered: %s", error)
            return json_response(503, {"detail": "the service cannot answer now: see its log"}, retry=True)

    async def _answer_rows(self, rows: list[Row]) -> dict[str, Any]:
        try:
            converted = await run_in_threadpool(self.backend.convert, rows, latest=self.clock() + CLOCK_SKEW)
        except InputError as error:
            raise UnreadableRows(str(error)) from error
        answers = await self.batcher.answer(converted.records) if converted.records else []
        self.metrics.rejected(len(converted.rejected))
        return {
            "predictions": [{**answer, "row": row} for answer, row in zip(answers, converted.places, strict=True)],
            "rejected": [{"row": row, "reason": reason} for row, reason in converted.rejected.items()],
        }

    def _record(self, record: Any) -> LiveRecord:
        values: Row = record.model_dump(by_alias=True)
        values["id"] = values["id"] or uuid.uuid4().hex
        values["received_at"] = values["received_at"] or self.clock()
        return LiveRecord(values)


def json_response(status: int, content: Any, *, retry: bool = False) -> Response:
    """Return a JSON response; `retry` adds the header Retry-After."""
    # ASCII only: a request may name a field with half a surrogate pair, which only an escape can carry.
    body = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    return Response(body, status, {"retry-after": "1"} if retry else None, media_type="application/json")
