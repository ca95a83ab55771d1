"""The REST service: /predict, /healthz, /readyz and /metrics around one batcher."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from pipelines.live.serve.answering import LiveRecord
from pipelines.live.serve.batching import Batcher, Overloaded
from pipelines.live.serve.guard import Guard
from pipelines.live.serve.schemas import CLOCK_SKEW, Answers, Problem, RowAnswers, request_model
from pipelines.runtime.errors import InputError, PerennialError

if TYPE_CHECKING:
    from pipelines.live.serve.metrics import Metrics
    from pipelines.live.serve.params import ServeParams
    from pipelines.live.serve.raw_rows import RowConverter
    from pipelines.records.schema import DomainSchema

logger = logging.getLogger(__name__)

SHOWN_PROBLEMS, SHOWN_CHARS = 20, 1000
REFUSALS = {
    400: "the body is not valid JSON",
    401: "the token is missing or wrong",
    408: "the body arrived too slowly",
    413: "the body is too long",
    422: "the body does not match the schema",
    503: "no model is loaded, too many records are waiting, or the log cannot be written",
}
Row = dict[str, Any]


class UnreadableRows(PerennialError):
    """The columns of the raw rows cannot be read."""


@dataclass(frozen=True)
class Backend:
    """What the app calls: everything behind the HTTP layer."""

    answer: Callable[[list[LiveRecord]], list[Row]]  # n records -> n answers, in the same order
    convert: RowConverter
    ready: Callable[[], bool]  # whether a model is loaded
    stop: Callable[[], None]  # runs after the last answer


def create_app(
    backend: Backend,
    *,
    schema: DomainSchema,
    params: ServeParams,
    metrics: Metrics,
    token: str,
    clock: Callable[[], datetime],
) -> FastAPI:
    """Return the app around `backend`; `clock` returns the current time with a time zone."""
    batcher = Batcher(
        backend.answer,
        max_batch_records=params.max_batch_records,
        wait_ms=params.max_batch_wait_ms,
        max_waiting=params.max_waiting,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        batcher.close()
        backend.stop()

    app = FastAPI(title=f"Perennial: {schema.name}", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(
        cast(Any, Guard),
        token=token,
        max_body_bytes=params.max_body_bytes,
        max_body_seconds=params.max_body_seconds,
        metrics=metrics,
    )
    body_model = request_model(schema, params=params, clock=clock)
    bearer = HTTPBearer(auto_error=False, description="checked before the body is read")

    async def predict(body: Any) -> Response:
        """Return label, confidence and version for one record, for several, or for raw rows."""
        if not backend.ready():
            return _json(503, {"detail": "no model is loaded yet: see /readyz"}, retry=True)
        try:
            if hasattr(body, "raw"):
                return _json(200, await answer_rows(body.raw))
            records = [_as_record(record, clock=clock) for record in getattr(body, "records", [body])]
            return _json(200, {"predictions": await batcher.answer(records)})
        except UnreadableRows as error:
            return _json(422, {"detail": str(error)[:SHOWN_CHARS]})
        except Overloaded as error:
            return _json(503, {"detail": str(error)}, retry=True)
        except PerennialError as error:
            logger.error("a request was not answered: %s", error)
            return _json(503, {"detail": "the service cannot answer now: see its log"}, retry=True)

    async def answer_rows(rows: list[Row]) -> dict[str, Any]:
        try:
            converted = await run_in_threadpool(backend.convert, rows, latest=clock() + CLOCK_SKEW)
        except InputError as error:
            raise UnreadableRows(str(error)) from error
        answers = await batcher.answer(converted.records) if converted.records else []
        metrics.rejected(len(converted.rejected))
        return {
            "predictions": [{**answer, "row": row} for answer, row in zip(answers, converted.places, strict=True)],
            "rejected": [{"row": row, "reason": reason} for row, reason in converted.rejected.items()],
        }

    predict.__annotations__ = {"body": body_model, "return": Response}
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": text} for status, text in REFUSALS.items()
    }
    app.post("/predict", response_model=Answers | RowAnswers, responses=refusals, dependencies=[Depends(bearer)])(
        predict
    )

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return 200 while the process runs."""
        return {"status": "alive"}

    @app.get("/readyz", responses={503: {"model": Problem}}, response_model=dict[str, str])
    async def readyz() -> Response:
        """Return 200 when a model is loaded and has answered a probe."""
        if backend.ready():
            return _json(200, {"status": "ready"})
        return _json(503, {"detail": "no model is loaded yet"}, retry=True)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def prometheus() -> Response:
        """Return counts and times in the Prometheus text format."""
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> Response:
        return _json(422, {"detail": [_problem(item) for item in error.errors()[:SHOWN_PROBLEMS]]})

    return app


def _as_record(record: Any, *, clock: Callable[[], datetime]) -> LiveRecord:
    values: Row = record.model_dump()
    values["id"] = values["id"] or uuid.uuid4().hex
    values["received_at"] = values["received_at"] or clock()
    return LiveRecord(values)


def _problem(item: Any) -> dict[str, Any]:
    """Return where and what; the value is left out, because it may be huge, private or not valid JSON."""
    return {
        "loc": [part if isinstance(part, int) else str(part)[:100] for part in item["loc"]],
        "msg": str(item["msg"])[:300],
        "type": str(item["type"]),
    }


def _json(status: int, content: Any, *, retry: bool = False) -> Response:
    # ASCII only: a request may name a field with half a surrogate pair, which only an escape can carry.
    body = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    return Response(body, status, {"retry-after": "1"} if retry else None, media_type="application/json")
