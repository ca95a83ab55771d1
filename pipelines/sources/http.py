"""An HTTP client that keeps a rate limit and repeats failed requests with growing waits."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

USER_AGENT = "perennial-ingest/0.1 (training pipeline that reads whole days once and keeps them; python-httpx)"
RETRIED = (408, 424, 425, 429, 500, 502, 503, 504)  # status codes after which another try may succeed
LONGEST_WAIT = 300.0


@dataclass
class Pace:
    """At most `calls` in any `seconds`: stricter than a token bucket, which allows a burst when it is full."""

    calls: int
    seconds: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _times: deque[float] = field(default_factory=deque)

    def wait(self) -> None:
        """Sleep until one more call is within the limit, and count it."""
        while True:
            now = self.clock()
            while self._times and self._times[0] <= now - self.seconds:
                self._times.popleft()
            if len(self._times) < self.calls:
                self._times.append(now)
                return
            self.sleep(self._times[0] + self.seconds - now)


@dataclass
class Client:
    """GET requests that answer JSON, against one address."""

    address: str
    attempts: int
    backoff_seconds: float
    timeout_seconds: float
    paces: Mapping[str, Pace]
    sleep: Callable[[float], None] = time.sleep

    @cached_property
    def _session(self) -> httpx.Client:
        import httpx

        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        return httpx.Client(headers=headers, timeout=self.timeout_seconds, follow_redirects=True)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if "_session" in self.__dict__:
            self._session.close()
            del self.__dict__["_session"]

    def get(self, kind: str, query: Mapping[str, str]) -> Any:
        """Return the parsed answer, with retries after passing errors; InputError on a refusal or when every try
        failed.
        """
        import httpx

        cause = ""
        for attempt in range(1, self.attempts + 1):
            self.paces[kind].wait()
            asked_for = None
            try:
                answer = self._session.get(self.address, params=dict(query))
                if answer.status_code == 200:
                    return answer.json()
                cause = f"HTTP {answer.status_code}: {answer.text[:200]}"
                if answer.status_code not in RETRIED:
                    raise InputError(f"{self.address} refused {dict(query)}: {cause}")
                asked_for = answer.headers.get("Retry-After")
            except (
                httpx.TransportError,
                httpx.DecodingError,
                ValueError,
            ) as error:  # timeouts, broken connections, incomplete answers
                cause = f"{type(error).__name__}: {error}"
            wait = _wait(attempt, backoff=self.backoff_seconds, asked_for=asked_for)
            logger.warning("%s (try %d of %d), waiting %.1f s", cause, attempt, self.attempts, wait)
            if attempt < self.attempts:
                self.sleep(wait)
        raise InputError(f"{self.address} returned no usable answer to {dict(query)} in {self.attempts} tries: {cause}")


def _wait(attempt: int, *, backoff: float, asked_for: str | None) -> float:
    """Return the seconds until the next try: doubling, or what the service requests in Retry-After."""
    grown = backoff * 2.0 ** (attempt - 1)
    stated = float(asked_for) if asked_for and asked_for.isdigit() else 0.0
    return min(max(grown, stated), LONGEST_WAIT)
