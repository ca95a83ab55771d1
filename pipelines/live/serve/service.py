"""The service as it runs: models from the registry, the log of requests, and a thread that looks after both."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.answering import Answerer
from pipelines.live.serve.journal import Journal, compact
from pipelines.live.serve.metrics import Metrics
from pipelines.live.serve.models import Models
from pipelines.live.serve.params import ServeParams
from pipelines.monitoring.live_state import live_home
from pipelines.records.domain import load_domain
from pipelines.runtime.params import load_params, load_resources

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "PERENNIAL_API_TOKEN"  # noqa: S105  the variable's name


def journal_folder() -> Path:
    """Folder of the segments of the registered model's prediction log."""
    return live_home() / "journal"


class Service:
    """Ties registry, models, log and app together."""

    def __init__(self) -> None:
        from pipelines.live.release.params import model_name
        from pipelines.live.release.registry import Registry

        self.params = load_params("serve", ServeParams)
        self.domain = load_domain()
        self.metrics = Metrics()
        self.registry = Registry(model_name())
        self.models = Models(self.registry, domain=self.domain, threads=load_resources().threads)
        self.journal = Journal(
            journal_folder(), segment_bytes=self.params.segment_bytes, fsync_seconds=self.params.fsync_seconds
        )
        self._stopping = threading.Event()
        self._told = ""
        self._threads = [
            threading.Thread(target=self._every, args=work, name=work[0], daemon=True)
            for work in (
                ("aliases", self.params.poll_seconds, self.follow),
                ("sync", self.params.fsync_seconds, self.journal.sync),
                ("canary", self.params.look_seconds, self.look),
            )
        ]

    def app(self, *, token: str) -> FastAPI:
        """The app; its last act is to close the log and make predictions of it."""
        from pipelines.live.serve.app import create_app

        answerer = Answerer(
            self.models,
            domain=self.domain,
            journal=self.journal,
            metrics=self.metrics,
            canary_share=lambda: self.params.canary.share,
        )
        return create_app(
            answerer,
            schema=self.domain.schema,
            params=self.params,
            metrics=self.metrics,
            token=token,
            ready=lambda: self.models.ready,
            on_stop=self.stop,
        )

    def start(self) -> None:
        """Load the models and look after aliases, log and canary from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads and close the log."""
        self._stopping.set()
        self.journal.close()
        compact(self.journal.folder, schema=self.domain.schema)

    def follow(self) -> None:
        """Load what the aliases name now."""
        if self.models.refresh():
            pair = self.models.pair
            challenger = pair.challenger.version if pair.challenger else None
            exports = {item.version: item.export for item in (pair.champion, pair.challenger) if item is not None}
            self.metrics.serving(champion=pair.champion.version, challenger=challenger, exports=exports)
        elif not self.models.ready:
            why = "; ".join(self.models.refused.values()) or "there is no champion yet, release one first (make demo)"
            if why != self._told:
                logger.warning("not ready: %s", why)
                self._told = why

    def look(self) -> None:
        """Make predictions of the finished part of the log and look at the canary."""
        from pipelines.live.serve.trial import look

        self.journal.close()
        counts = compact(self.journal.folder, schema=self.domain.schema)
        if counts["segments"]:
            logger.info("log: %(added)d new predictions, %(broken)d broken lines", counts)
        said = look(self.registry, params=self.params.canary, today=datetime.now(UTC).date(), metrics=self.metrics)
        if said["state"] != "none":
            logger.info("canary: %s", said)
        if said["state"] in ("stopped", "completed"):
            self.follow()

    def _every(self, name: str, seconds: float, work: Any) -> None:
        wait = 0.0 if name == "aliases" else seconds
        while not self._stopping.wait(wait):
            wait = seconds
            try:
                work()
            except Exception:  # the registry is away or the disk is full: what is in memory goes on answering
                logger.exception("%s: failed, next try in %g seconds", name, seconds)


def run(*, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; then answer what waits and close the log."""
    import torch
    import uvicorn

    threads = load_resources().threads
    torch.set_num_threads(threads)
    service = Service()
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        token = secrets.token_urlsafe(24)
        sys.stderr.write(f"serve: {TOKEN_VARIABLE} is not set; this run's token is {token}\n")
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
        timeout_graceful_shutdown=30,
    )
    logger.info("stopped after %.0f seconds", time.monotonic() - began)
