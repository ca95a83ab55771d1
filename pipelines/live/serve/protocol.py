"""Limits of a connection before there is a request: the bytes of its headers, and the seconds that they may take."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from pipelines.live.serve.params import ServeParams

PIECE = 4096  # bytes of headers that the parser gets at once: it copies what it has of a line with each piece


class LimitedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers are too long, or do not come."""

    max_header_bytes: int
    max_header_seconds: float
    _complete = False  # whether the headers of the present request have arrived
    _bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the client until its first request."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Parse headers in pieces, so that no more than the limit is ever kept, and the rest as it comes."""
        if self._timer is None and not self._complete:
            self._start()  # the next request of a connection that is kept alive
        while data and not self._complete and not self.transport.is_closing():
            piece, data = data[:PIECE], data[PIECE:]
            self._bytes += len(piece)
            super().data_received(piece)
            if not self._complete and self._bytes > self.max_header_bytes:
                self._refuse(431, "Request Header Fields Too Large", f"headers exceed {self.max_header_bytes} bytes")
        if data and not self.transport.is_closing():
            super().data_received(data)

    def on_headers_complete(self) -> None:
        """Stop counting: the body has limits of its own."""
        self._complete, self._bytes = True, 0
        self._stop()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Count from the beginning: what follows are headers."""
        self._complete = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        what = f"the headers did not arrive within {self.max_header_seconds:g} seconds"
        self._timer = self.loop.call_later(self.max_header_seconds, self._refuse, 408, "Request Timeout", what)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, phrase: str, detail: str) -> None:
        body = json.dumps({"detail": detail})
        head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n{body}".encode())
        self.transport.close()


def limited_protocol(params: ServeParams) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol, which has no such limits, with those of the service."""
    limits = {"max_header_bytes": params.max_header_bytes, "max_header_seconds": params.max_header_seconds}
    return type("Limited", (LimitedProtocol,), limits)
