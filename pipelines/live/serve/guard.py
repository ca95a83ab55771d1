"""Middleware in front of every request: token, body size, body time limit, and the request metrics."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pipelines.live.serve.metrics import Metrics

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/healthz", "/readyz", "/metrics")
PATHS = (*OPEN_PATHS, "/predict", "/openapi.json")


class Refused(Exception):
    """A request that is refused before the application sees it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Guard:
    """ASGI middleware; bodies are counted as they arrive, so those without Content-Length are limited too."""

    def __init__(self, app: App, *, token: str, max_body_bytes: int, max_body_seconds: float, metrics: Metrics) -> None:
        self._app = app
        self._token = f"Bearer {token}".encode()
        self._max_body_bytes = max_body_bytes
        self._body_seconds = max_body_seconds
        self._metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request to the application, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, sent = time.perf_counter(), 500, False

        async def counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status, sent = message["status"], True
            await send(message)

        try:
            self._require_token(scope)
            await self._app(scope, _replay(await self._body(scope, receive), receive), counted)
        except Refused as refused:
            await _answer(counted, refused)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if sent:
                raise
            await _answer(counted, Refused(500, "internal error: see the log of the service"))
        finally:
            path = scope["path"] if scope["path"] in PATHS else "other"
            self._metrics.request(path=path, status=status, seconds=time.perf_counter() - began)

    def _require_token(self, scope: Message) -> None:
        if scope["path"] in OPEN_PATHS:
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(given, self._token):
            raise Refused(401, "the header 'Authorization: Bearer TOKEN' is missing or wrong")

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if stated.isdigit() and int(stated) > self._max_body_bytes:
            raise Refused(413, f"the body is {int(stated)} bytes long; the limit is {self._max_body_bytes}")
        try:
            async with asyncio.timeout(self._body_seconds):
                return await self._read(receive)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {self._body_seconds:g} seconds") from None

    async def _read(self, receive: Receive) -> bytes:
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "the client disconnected before its body had arrived")
            chunk = message.get("body", b"")
            size, more = size + len(chunk), message.get("more_body", False)
            if size > self._max_body_bytes:
                raise Refused(413, f"the body is longer than {self._max_body_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first gives the body that was read already, then the server's messages."""
    replayed = False

    async def again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _answer(send: Send, refused: Refused) -> None:
    body = json.dumps({"detail": refused.detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refused.status in (408, 413):
        headers.append((b"connection", b"close"))  # the rest of the body stays unread
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
