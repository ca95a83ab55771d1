"""The running service: models from the registry, the prediction log, and threads that look after both."""

from __future__ import annotations

import logging
import secrets
import sys
import threading
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.answering import Answerer
from pipelines.live.serve.journal import Journal, compact
from pipelines.live.serve.metrics import Metrics
from pipelines.live.serve.models import Models
from pipelines.live.serve.params import ServeParams
from pipelines.live.serve.raw_rows import RowConverter
from pipelines.monitoring.live_state import live_folder
from pipelines.records.domain import Domain

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pipelines.runtime.project import Project

logger = logging.getLogger(__name__)


def journal_folder(live: Path) -> Path:
    """Return the folder of the log segments below the live folder of a model."""
    return live / "journal"


class Service:
    """Registry, models, prediction log and app of one process."""

    def __init__(self, project: Project, params: ServeParams, *, clock: Callable[[], datetime]) -> None:
        from pipelines.live.release.registry import Registry

        self.live = live_folder(project)
        self.params = params
        self.clock = clock
        self.domain = Domain(project.domain_folder)
        self.metrics = Metrics()
        self.registry = Registry.open(project)
        self.models = Models(
            self.registry, domain=self.domain, threads=project.resources.threads, exports=project.state / "exports"
        )
        self.journal = Journal(
            journal_folder(self.live), max_segment_bytes=params.max_segment_bytes, fsync_seconds=params.fsync_seconds
        )
        self.convert = RowConverter(self.domain, max_text_chars=params.max_text_chars)
        self.answer = Answerer(
            self.models,
            domain=self.domain,
            journal=self.journal,
            metrics=self.metrics,
            params=params.canary,
            canary_share=lambda: self.params.canary.share,
            clock=clock,
        )
        self._stopping = threading.Event()
        self._reported = ""
        self._threads = [
            threading.Thread(target=self._every, args=work, name=work[0], daemon=True)
            for work in (
                ("aliases", params.poll_seconds, self.follow),
                ("sync", params.fsync_seconds, self.journal.sync),
                ("canary", params.maintenance_seconds, self.evaluate),
            )
        ]

    def app(self, *, token: str) -> FastAPI:
        """Return the app; when it stops, it closes the log and compacts it."""
        from pipelines.live.serve.app import create_app
        from pipelines.live.serve.endpoint import Backend

        return create_app(
            Backend(
                answer=self.answer.begin,
                convert=self.convert,
                ready=lambda: self.models.ready,
                stop=self.stop,
                problem=lambda: None if self.journal.writable else "the log of answers cannot be written",
            ),
            schema=self.domain.schema,
            params=self.params,
            metrics=self.metrics,
            token=token,
            clock=self.clock,
        )

    def start(self) -> None:
        """Start the threads that follow the aliases, sync the log and evaluate the canary."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads, then close and compact the log."""
        self._stopping.set()
        self.answer.close()
        self.compact()

    def compact(self) -> dict[str, int]:
        """Close the open segment of the log and move all finished ones to the predictions; return the counts."""
        self.journal.close()
        return compact(self.journal.folder, schema=self.domain.schema, live=self.live)

    def follow(self) -> None:
        """Load the versions that the aliases point to now."""
        if self.models.refresh():
            pair = self.models.pair
            challenger = pair.challenger.version if pair.challenger else None
            exports = {item.version: item.export for item in (pair.champion, pair.challenger) if item is not None}
            self.metrics.serving(champion=pair.champion.version, challenger=challenger, exports=exports)
        elif not self.models.ready:
            reason = "; ".join(self.models.refused.values()) or "no champion yet: release one first (make demo)"
            if reason != self._reported:
                logger.warning("not ready: %s", reason)
                self._reported = reason

    def evaluate(self) -> None:
        """Compact the finished part of the log, then evaluate the canary."""
        try:
            counts = self.compact()
            if counts["segments"]:
                logger.info("log: %(added)d new predictions, %(broken)d broken lines", counts)
        except Exception:  # a challenger that fails must be stopped, whatever is wrong with a file
            logger.exception("the log could not be compacted; its segments stay, and are tried again")
        result = self.evaluate_canary(self.clock().date())
        if result["state"] != "none":
            logger.info("canary: %s", result)
        if result["state"] in ("stopped", "completed"):
            self.follow()

    def evaluate_canary(self, today: date) -> dict[str, Any]:
        """Stop, complete or leave the canary; return its state, see `trial.evaluate_canary`."""
        from pipelines.live.serve.trial import evaluate_canary

        return evaluate_canary(
            self.registry,
            live=self.live,
            params=self.params.canary,
            today=today,
            metrics=self.metrics,
            stuck=self.answer.stuck_seconds(),
        )

    def _every(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        wait = 0.0 if name == "aliases" else seconds
        while not self._stopping.wait(wait):
            wait = seconds
            try:
                work()
            except Exception:  # the registry is away or the disk is full: the models in memory go on answering
                logger.exception("%s: failed, next try in %g seconds", name, seconds)


def run(project: Project, *, host: str, port: int, token: str | None, clock: Callable[[], datetime]) -> None:
    """Serve until SIGTERM or SIGINT; then answer the requests in the queue and close the log.

    Without a token one is generated for this run and written to stderr.
    """
    import torch
    import uvicorn

    from pipelines.live.serve.protocol import limited_protocol

    torch.set_num_threads(project.resources.threads)
    service = Service(project, project.section("serve", ServeParams), clock=clock)
    if token is None:
        token = secrets.token_urlsafe(24)
        sys.stderr.write(f"serve: PERENNIAL_API_TOKEN is not set; the token of this run is {token}\n")
    service.start()
    began = time.monotonic()
    logger.info("listening on http://%s:%d", host, port)
    uvicorn.run(
        service.app(token=token),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=limited_protocol(service.params),
        ws="none",
        limit_concurrency=service.params.max_connections,
        timeout_graceful_shutdown=30,
    )
    logger.info("stopped after %.0f seconds", time.monotonic() - began)
