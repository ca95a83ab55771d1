"""The REST service: /predict, /healthz, /readyz and /metrics around one batcher."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer

from pipelines.live.serve.batching import Batcher, Overloaded
from pipelines.live.serve.guard import Guard
from pipelines.live.serve.schemas import Answers, Problem, request_model
from pipelines.runtime.errors import PerennialError

if TYPE_CHECKING:
    from pipelines.live.serve.metrics import Metrics
    from pipelines.live.serve.params import ServeParams
    from pipelines.records.domain import DomainSchema

logger = logging.getLogger(__name__)

SHOWN_PROBLEMS = 20
REFUSALS = {
    400: "the body is no JSON",
    401: "the token is missing or wrong",
    408: "the body came too slowly",
    413: "the body is too long",
    422: "the body is not what /openapi.json says",
    503: "no model is loaded, too much waits, or the log cannot be written",
}


def create_app(
    answer_all: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
    *,
    schema: DomainSchema,
    params: ServeParams,
    metrics: Metrics,
    token: str,
    ready: Callable[[], bool],
    on_stop: Callable[[], None] = lambda: None,
) -> FastAPI:
    """An app that gives records to `answer_all` in batches; `on_stop` runs after the last answer."""
    batcher = Batcher(
        answer_all,
        batch_records=params.batch_records,
        wait_ms=params.batch_wait_ms,
        max_waiting=params.max_waiting,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        batcher.close()
        on_stop()

    app = FastAPI(title=f"Perennial: {schema.name}", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(
        cast(Any, Guard),
        token=token,
        max_body_bytes=params.max_body_bytes,
        body_seconds=params.body_seconds,
        metrics=metrics,
    )
    body_model = request_model(schema, max_records=params.max_records, max_text_chars=params.max_text_chars)
    bearer = HTTPBearer(auto_error=False, description="checked before the body is read")

    async def predict(body: Any) -> Response:
        """Label, confidence and version for one record or for several."""
        if not ready():
            return _json(503, {"detail": "no model is loaded yet; /readyz says when"}, retry=True)
        records = [_as_record(record) for record in getattr(body, "records", [body])]
        try:
            answers = await batcher.answer(records)
        except Overloaded as error:
            return _json(503, {"detail": str(error)}, retry=True)
        except PerennialError as error:
            logger.error("a request was not answered: %s", error)
            return _json(503, {"detail": "the service cannot answer now; its log says why"}, retry=True)
        return _json(200, {"predictions": answers})

    predict.__annotations__ = {"body": body_model, "return": Response}
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": text} for status, text in REFUSALS.items()
    }
    from fastapi import Depends

    app.post("/predict", response_model=Answers, responses=refusals, dependencies=[Depends(bearer)])(predict)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "alive"}

    @app.get("/readyz", responses={503: {"model": Problem}}, response_model=dict[str, str])
    async def readyz() -> Response:
        """Whether the weights are loaded and have answered once."""
        if ready():
            return _json(200, {"status": "ready"})
        return _json(503, {"detail": "no model is loaded yet"}, retry=True)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def prometheus() -> Response:
        """Counts and times, as Prometheus reads them."""
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> Response:
        return _json(422, {"detail": [_problem(item) for item in error.errors()[:SHOWN_PROBLEMS]]})

    return app


def _as_record(record: Any) -> dict[str, Any]:
    values: dict[str, Any] = record.model_dump()
    values["id"] = values["id"] or uuid.uuid4().hex
    values["received_at"] = values["received_at"] or datetime.now(UTC)
    return values


def _problem(item: Any) -> dict[str, Any]:
    """Where and what; the value itself is left out, because it may be huge, private or no valid JSON."""
    return {
        "loc": [part if isinstance(part, int) else str(part)[:100] for part in item["loc"]],
        "msg": str(item["msg"])[:300],
        "type": str(item["type"]),
    }


def _json(status: int, content: Any, *, retry: bool = False) -> Response:
    # ASCII only: a request may name a field with half a surrogate pair, which no encoding but escapes can carry.
    body = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    return Response(body, status, {"retry-after": "1"} if retry else None, media_type="application/json")
