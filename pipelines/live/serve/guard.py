"""Middleware in front of every request: path, method, token, media type, size and time of the body, and the metrics."""

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
READ = ("GET", "HEAD", "OPTIONS")
METHODS = {**dict.fromkeys((*OPEN_PATHS, "/openapi.json"), READ), "/predict": ("POST", "OPTIONS")}


class Refused(Exception):
    """A request that is answered before the application sees it."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]


class Guard:
    """ASGI middleware; bodies are counted as they arrive, so those without Content-Length are limited too."""

    def __init__(self, app: App, *, token: str, max_body_bytes: int, max_body_seconds: float, metrics: Metrics) -> None:
        self._app = app
        self._token = token.encode()
        self._max_body_bytes = max_body_bytes
        self._body_seconds = max_body_seconds
        self._metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request to the application, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, sent = time.perf_counter(), 500, False
        asked = scope["method"]
        scope = {**scope, "path": scope["path"].rstrip("/") or "/", "method": "GET" if asked == "HEAD" else asked}

        async def counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status, sent = message["status"], True
            elif asked == "HEAD":  # the headers of a GET, without its body
                message = {**message, "body": b""}
            await send(message)

        try:
            _require_route(scope["path"], asked)
            self._require_token(scope)
            _require_json(scope)
            await self._app(scope, _replay(await self._body(scope, receive), receive), counted)
        except Refused as refused:
            await _answer(counted, refused)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if sent:
                raise
            await _answer(counted, Refused(500, "internal error: see the log of the service"))
        finally:
            path = scope["path"] if scope["path"] in METHODS else "other"
            self._metrics.request(path=path, status=status, seconds=time.perf_counter() - began)

    def _require_token(self, scope: Message) -> None:
        if scope["path"] in OPEN_PATHS:
            return
        scheme, _, given = _header(scope, b"authorization").partition(b" ")
        if not hmac.compare_digest(given.strip(b" "), self._token) or scheme.lower() != b"bearer":
            raise Refused(
                401, "the header 'Authorization: Bearer TOKEN' is missing or wrong", www_authenticate="Bearer"
            )

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        stated = _header(scope, b"content-length")
        if stated.isdigit() and int(stated) > self._max_body_bytes:
            raise Refused(
                413, f"the body is {int(stated)} bytes long; the limit is {self._max_body_bytes}", connection="close"
            )
        try:
            async with asyncio.timeout(self._body_seconds):
                return await self._read(receive)
        except TimeoutError:
            raise Refused(
                408, f"the body did not arrive within {self._body_seconds:g} seconds", connection="close"
            ) from None

    async def _read(self, receive: Receive) -> bytes:
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "the client disconnected before its body had arrived")
            chunk = message.get("body", b"")
            size, more = size + len(chunk), message.get("more_body", False)
            if size > self._max_body_bytes:
                raise Refused(413, f"the body is longer than {self._max_body_bytes} bytes", connection="close")
            chunks.append(chunk)
        return b"".join(chunks)


def _header(scope: Message, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")


def _require_route(path: str, method: str) -> None:
    """Refuse a path or a method that the service does not have, with or without a token; answer OPTIONS."""
    if (method, path) == ("OPTIONS", "*"):  # what the service as a whole understands
        raise Refused(204, "", allow=", ".join(dict.fromkeys(name for names in METHODS.values() for name in names)))
    if path not in METHODS:
        raise Refused(404, f"unknown path: expected one of {', '.join(METHODS)}")
    allow = ", ".join(METHODS[path])
    if method == "OPTIONS":
        raise Refused(204, "", allow=allow)
    if method not in METHODS[path]:
        raise Refused(405, f"the method is not allowed here: expected one of {allow}", allow=allow)


def _require_json(scope: Message) -> None:
    """Refuse a body that is declared to be anything but plain JSON in UTF-8; without a declaration it is JSON."""
    if scope["method"] != "POST":
        return
    kind, *parameters = _header(scope, b"content-type").decode("latin-1").lower().replace(" ", "").split(";")
    encoding = _header(scope, b"content-encoding").strip().lower()
    charsets = [item.removeprefix("charset=").strip('"') for item in parameters if item.startswith("charset=")]
    is_json = kind in ("", "application/json") or (kind.startswith("application/") and kind.endswith("+json"))
    if not is_json or encoding not in (b"", b"identity") or not {*charsets} <= {"utf-8", "utf8", "us-ascii"}:
        raise Refused(
            415,
            "expected the header 'Content-Type: application/json', in UTF-8 and without Content-Encoding",
            accept="application/json",
            connection="close",  # the body stays unread
        )


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
    body = b"" if refused.status == 204 else json.dumps({"detail": refused.detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    start = {"type": "http.response.start", "status": refused.status}
    await send({**start, "headers": (headers if body else []) + refused.headers})
    await send({"type": "http.response.body", "body": body})
