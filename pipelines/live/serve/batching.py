"""Batching: one thread owns the model and answers the records of several requests together."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.challenger import Pending
from pipelines.runtime.errors import PerennialError

if TYPE_CHECKING:
    from pipelines.live.serve.answering import LiveRecord


class Overloaded(PerennialError):
    """More records are waiting than the service accepts."""


@dataclass
class Waiting:
    """The records of one request, and the future that gets their answers."""

    records: list[LiveRecord]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[list[Any]]


class Batcher:
    """A queue in front of `answer_all`, which takes n records and returns n answers in the same order.

    A `Pending` answer is waited for where it holds up nothing but its own request, and for `canary_seconds` at most.
    """

    def __init__(
        self,
        answer_all: Callable[[list[LiveRecord]], list[Any]],
        *,
        max_batch_records: int,
        wait_ms: float,
        max_waiting: int,
        canary_seconds: float,
    ) -> None:
        self._answer_all = answer_all
        self._batch_records = max_batch_records
        self._wait = wait_ms / 1000
        self._max_waiting = max_waiting
        self._canary_seconds = canary_seconds
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    async def answer(self, records: list[LiveRecord]) -> list[dict[str, Any]]:
        """Return the answers to the records of one request; raise Overloaded when too many records are waiting."""
        with self._lock:
            if self._closed:
                raise Overloaded("the service is stopping: try again later")
            if self._waiting + len(records) > self._max_waiting:
                raise Overloaded(
                    f"{self._waiting} records are waiting, the limit is {self._max_waiting}: try again later"
                )
            self._waiting += len(records)
        loop = asyncio.get_running_loop()
        waiting = Waiting(records, loop, loop.create_future())
        self._queue.put(waiting)
        answers = await waiting.answer
        pending = [item for item in answers if isinstance(item, Pending)]
        if pending:
            futures = [asyncio.wrap_future(item.answer) for item in pending]
            late = (await asyncio.wait(futures, timeout=self._canary_seconds))[1]
            if late:  # the log may block, the event loop may not
                await asyncio.gather(*(asyncio.to_thread(item.fall_back, late=True) for item in pending))
                await asyncio.wait(futures)
        return [item.answer.result() if isinstance(item, Pending) else item for item in answers]

    def close(self) -> None:
        """Answer the requests in the queue, then stop the thread."""
        with self._lock:
            self._closed = True
        self._queue.put(None)
        self._thread.join(timeout=60)

    def _run(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._collect()
            if batch and not self._answer(batch):
                for waiting in batch:  # a record that breaks the model must not cost other requests their answers
                    self._answer([waiting])

    def _collect(self) -> tuple[list[Waiting], bool]:
        first = self._queue.get()
        if first is None:
            return [], False
        batch, count, until = [first], len(first.records), time.monotonic() + self._wait
        while count < self._batch_records:
            try:
                more = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if more is None:
                return batch, False
            batch.append(more)
            count += len(more.records)
        return batch, True

    def _answer(self, batch: list[Waiting]) -> bool:
        """Answer the requests together; return False when that failed and each should be tried alone."""
        records = [record for waiting in batch for record in waiting.records]
        try:
            answers = iter(self._answer_all(records))
            parts = [[next(answers) for _ in waiting.records] for waiting in batch]
        except Exception as error:  # the request gets the error; the service goes on
            if len(batch) > 1:
                return False
            _deliver(batch[0], None, error)
        else:
            for waiting, part in zip(batch, parts, strict=True):
                _deliver(waiting, part, None)
        with self._lock:
            self._waiting -= len(records)
        return True


def _deliver(waiting: Waiting, answer: list[Any] | None, error: Exception | None) -> None:
    with contextlib.suppress(RuntimeError):  # its event loop is closed: the service is stopping
        waiting.loop.call_soon_threadsafe(_resolve, waiting.answer, answer, error)


def _resolve(future: asyncio.Future[Any], answer: Any, error: Exception | None) -> None:
    if future.done():  # the client disconnected
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(answer)
