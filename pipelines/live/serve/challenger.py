"""The challenger next to the requests: one thread behind a bounded queue, so that no champion's answer waits for it."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.live.serve.metrics import Metrics

logger = logging.getLogger(__name__)

Row = dict[str, Any]
CANARY, SHADOW, END = 0, 1, 2  # in the order in which the queue is served


def shown(row: Row) -> Row:
    """Return what the client gets of a row of the log."""
    return {
        "id": row["record_id"],
        **{name: row[name] for name in ("label", "confidence", "model_version", "request_id")},
    }


class Pending:
    """The answer to a record of the canary: the challenger's if it comes in time, else the champion's.

    The first to claim it, the challenger's thread or the request whose deadline has passed, logs and settles it.
    """

    def __init__(self, champion: Row, *, log: Callable[[list[Row]], None], late: Callable[[], None]) -> None:
        self.answer: Future[Row] = Future()
        self.champion = champion
        self._log = log
        self._late = late
        self._lock = threading.Lock()
        self._claimed = False

    def claim(self) -> bool:
        """Return True to the first caller only."""
        with self._lock:
            first, self._claimed = not self._claimed, True
            return first

    def fall_back(self, *, late: bool = False) -> None:
        """Answer with the champion's row, unless it is settled already; `late`: the challenger took too long."""
        if not self.claim():
            return
        if late:
            self._late()
        try:
            self._log([{**self.champion, "role": "champion"}])
        except Exception as error:  # an answer that is not logged is not sent
            self.answer.set_exception(error)
        else:
            self.answer.set_result(shown(self.champion))


@dataclass(frozen=True)
class Job:
    """Records for the challenger; `pending` are their answers if it is a canary, empty in the shadow."""

    frame: pd.DataFrame
    seen: list[Row]
    pending: list[Pending] = field(default_factory=list)


class Runner:
    """The thread of one challenger; jobs of the canary come first, and what is too much for the queue is dropped."""

    def __init__(
        self,
        answer: Callable[[Job], list[Row]],
        *,
        log: Callable[[list[Row]], None],
        max_waiting: int,
        metrics: Metrics,
    ) -> None:
        self._answer = answer
        self._log = log
        self._max_waiting = max_waiting
        self._metrics = metrics
        self._queue: queue.PriorityQueue[tuple[int, int, Job | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._waiting = 0
        self._closed = False
        self._began: float | None = None
        threading.Thread(target=self._run, name="challenger", daemon=True).start()

    def submit(self, job: Job) -> bool:
        """Queue a job; return False, and count its records as dropped, when too many are waiting."""
        with self._lock:
            full = self._waiting > 0 and self._waiting + len(job.seen) > self._max_waiting
            if not full and not self._closed:
                self._waiting += len(job.seen)
                self._queue.put((CANARY if job.pending else SHADOW, next(self._order), job))
                return True
        self._metrics.dropped(len(job.seen))
        return False

    def stuck_seconds(self) -> float:
        """Return for how long the present call has been running; 0 between calls."""
        began = self._began
        return time.monotonic() - began if began is not None else 0.0

    def drain(self) -> None:
        """Wait until every queued job is done."""
        self._queue.join()

    def close(self) -> None:
        """End the thread after its present call; what is queued is answered by the champion, or dropped."""
        with self._lock:
            self._closed = True
            self._queue.put((END, next(self._order), None))

    def _run(self) -> None:
        # No lower priority for this thread: while it waited for the processor it would hold the interpreter's lock.
        while (job := self._queue.get()[2]) is not None:
            try:
                self._work(job)
            except Exception:
                logger.exception("challenger: %d answers were not logged", len(job.seen))
            finally:
                self._began = None
                with self._lock:
                    self._waiting -= len(job.seen)
                self._queue.task_done()
        self._queue.task_done()

    def _work(self, job: Job) -> None:
        rows: list[Row] = []
        if not self._closed:
            self._began = time.monotonic()
            try:
                rows = self._answer(job)
            except Exception:  # whatever is wrong with the challenger, the champion answers
                logger.exception("the challenger failed; the champion answers")
        if not rows:
            for pending in job.pending:
                pending.fall_back()
            return
        won = [pending.claim() for pending in job.pending] or [False] * len(rows)
        lines = [{**row, "role": "canary" if first else "shadow"} for row, first in zip(rows, won, strict=True)]
        beaten = [(p, row) for p, row, first in zip(job.pending, rows, won, strict=False) if first]
        try:
            self._log([*({**pending.champion, "role": "shadow"} for pending, _ in beaten), *lines])
        except Exception as error:
            for pending, _ in beaten:
                pending.answer.set_exception(error)
            raise
        for pending, row in beaten:
            pending.answer.set_result(shown(row))
