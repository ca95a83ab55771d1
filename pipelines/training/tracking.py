"""Send parameters and curves to MLflow during training; no failure there changes or stops a stage.

A separate thread talks to MLflow, so that neither its start-up nor a slow server costs training time.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.runtime.mlflow_store import open_client
from pipelines.runtime.places import sqlite_file

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pipelines.runtime.project import Project

logger = logging.getLogger(__name__)

MAX_WAIT_S = 20.0  # the longest time that the end of training waits for MLflow
SWITCH = "PERENNIAL_TRACKING"  # set to "off": nothing is logged


class Tracker(Protocol):
    """Takes the metrics of a training."""

    def log(self, metrics: dict[str, Any], *, step: int) -> None:
        """Log the numbers among `metrics` at `step`."""


class NoTracking:
    """Tracking turned off."""

    def log(self, metrics: dict[str, Any], *, step: int) -> None:
        """Log nothing."""


class MlflowTracking:
    """Queues metrics and sends them to an MLflow run from a thread; warns once when MLflow does not accept them."""

    def __init__(self, run_name: str, params: dict[str, Any], *, uri: str) -> None:
        self._queue: queue.Queue[tuple[dict[str, float], int] | str] = queue.Queue()
        self._thread = threading.Thread(target=self._work, args=(run_name, flat(params), uri), daemon=True)
        self._thread.start()

    def log(self, metrics: dict[str, Any], *, step: int) -> None:
        """Log the numbers among `metrics` at `step`."""
        numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
        self._queue.put((numbers, step))

    def close(self, status: str) -> None:
        """End the run with a status, after a bounded wait for metrics that are not sent yet."""
        self._queue.put(status)
        self._thread.join(MAX_WAIT_S)
        if self._thread.is_alive():
            logger.warning("MLflow took longer than %.0f s; its last metrics may be missing there", MAX_WAIT_S)

    def _work(self, run_name: str, params: dict[str, str], uri: str) -> None:
        try:
            from mlflow.entities import Metric, Param

            client = open_client(uri)
            found = client.get_experiment_by_name("training")
            experiment = found.experiment_id if found else client.create_experiment("training")
            run_id = client.create_run(experiment, run_name=run_name).info.run_id
            client.log_batch(run_id, params=[Param(key, value[:500]) for key, value in sorted(params.items())])
            while not isinstance(item := self._queue.get(), str):
                numbers, step = item
                now = client.get_run(run_id).info.start_time + step
                client.log_batch(run_id, metrics=[Metric(key, value, now, step) for key, value in numbers.items()])
            client.set_terminated(run_id, status=item)
        except Exception as error:  # whatever it is: the stage's outcome is a function of files, not of a tracker
            logger.warning("MLflow at %s accepts no more metrics (%s); training continues", uri, type(error).__name__)


@contextmanager
def tracked(project: Project, stage: str, params: BaseModel) -> Iterator[Tracker]:
    """Open an MLflow run around the block in the project's tracking store, or none if `PERENNIAL_TRACKING` is off."""
    if project.environment.get(SWITCH) == "off":
        yield NoTracking()
        return
    if sqlite_file(project.tracking_uri):  # the default store is a file there
        project.state.mkdir(parents=True, exist_ok=True)
    tracking = MlflowTracking(stage, params.model_dump(), uri=project.tracking_uri)
    try:
        yield tracking
    except BaseException:
        tracking.close("FAILED")
        raise
    tracking.close("FINISHED")


def flat(params: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested parameters as one level of dotted names."""
    out: dict[str, str] = {}
    for key, value in params.items():
        out.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)})
    return out
