"""The REST service: /predict, /healthz, /readyz and /metrics around one batcher."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer

from pipelines.live.serve.batching import Batcher
from pipelines.live.serve.endpoint import Backend, Endpoint, json_response
from pipelines.live.serve.guard import Guard
from pipelines.live.serve.schemas import Answers, Problem, RowAnswers, request_model

if TYPE_CHECKING:
    from pipelines.live.serve.metrics import Metrics
    from pipelines.live.serve.params import ServeParams
    from pipelines.records.schema import DomainSchema

SHOWN_PROBLEMS = 20
REFUSALS = {
    400: "the body is not valid JSON",
    401: "the token is missing or wrong",
    408: "the body arrived too slowly",
    413: "the body is too long",
    415: "the body is not declared as JSON",
    422: "the body does not match the schema",
    503: "no model is loaded, too many records are waiting, or the log cannot be written",
}


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
        canary_seconds=params.canary.max_wait_ms / 1000,
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
    endpoint = Endpoint(backend, batcher, metrics, clock)

    async def predict(body: Any) -> Response:
        """Return label, confidence and version for one record, for several, or for raw rows."""
        return await endpoint(body)

    # The type of the body depends on the domain, so that it is known only here.
    predict.__annotations__ = {"body": request_model(schema, params=params, clock=clock), "return": Response}
    bearer = HTTPBearer(auto_error=False, description="checked before the body is read")
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": text} for status, text in REFUSALS.items()
    }
    route = app.post(
        "/predict", response_model=Answers | RowAnswers, responses=refusals, dependencies=[Depends(bearer)]
    )
    route(predict)
    _add_status_routes(app, backend=backend, metrics=metrics)
    return app


def _add_status_routes(app: FastAPI, *, backend: Backend, metrics: Metrics) -> None:
    """Add health, readiness and metrics, and the form of validation errors."""

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return 200 while the process runs."""
        return {"status": "alive"}

    @app.get("/readyz", responses={503: {"model": Problem}}, response_model=dict[str, str])
    async def readyz() -> Response:
        """Return 200 when a model is loaded and has answered a probe, and its answers can be logged."""
        problem = backend.problem() if backend.ready() else "no model is loaded yet"
        if problem is None:
            return json_response(200, {"status": "ready"})
        return json_response(503, {"detail": problem}, retry=True)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def prometheus() -> Response:
        """Return counts and times in the Prometheus text format."""
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.exception_handler(RequestValidationError)
    async def explain(_: Request, error: RequestValidationError) -> Response:
        return json_response(422, {"detail": [_problem(item) for item in error.errors()[:SHOWN_PROBLEMS]]})


def _problem(item: Any) -> dict[str, Any]:
    """Return where and what; the value is left out, because it may be huge, private or not valid JSON."""
    return {
        "loc": [part if isinstance(part, int) else str(part)[:100] for part in item["loc"]],
        "msg": str(item["msg"])[:300],
        "type": str(item["type"]),
    }
