"""A receiver of notifications on the loopback interface."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """What was sent to `address`, oldest first."""

    def __init__(self, address: str, messages: list[dict[str, Any]]) -> None:
        self.address, self.messages = address, messages

    def wait_for(self, word: str, *, kind: str = "", seconds: float = 300) -> dict[str, Any]:
        """Return the first message with a word in its text, and with a kind in its title."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for message in list(self.messages):
                if word in message["message"] and f" {kind}" in message["title"]:
                    return message
            time.sleep(0.1)
        raise TimeoutError(f"nothing with {word!r} of kind {kind!r} came: {[m['title'] for m in self.messages]}")


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive until the block ends."""
    messages: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *rest: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Receiver(f"http://127.0.0.1:{server.server_port}/hook", messages)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
