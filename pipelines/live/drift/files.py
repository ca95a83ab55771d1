"""Files of the drift commands in the live folder of a model: verdicts, decisions and pages, and one lock for all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tenacity import RetryError, retry, retry_if_exception_type, stop_after_delay, wait_fixed

from pipelines.live.drift.params import AlarmParams
from pipelines.runtime.errors import InputError, StoreError
from pipelines.runtime.state import write_atomic

FOLDER = "drift"


@contextlib.contextmanager
def drift_lock(live: Path, *, seconds: float) -> Iterator[None]:
    """Hold the lock of all drift commands; the operating system releases it with the process.

    Raises StoreError when another process holds it for longer than `seconds`.
    """
    path = live / FOLDER / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        attempt = retry(
            retry=retry_if_exception_type(BlockingIOError), stop=stop_after_delay(seconds), wait=wait_fixed(0.1)
        )(fcntl.flock)
        try:
            attempt(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except RetryError:
            raise StoreError(
                f"another drift run has held {path} for more than {seconds:g} s; nothing was done, run again"
            ) from None
        yield


def verdict_folder(live: Path, key: str) -> Path:
    """Return the folder of one verdict, its decision and its pages."""
    return live / FOLDER / key


def read_verdict(path: Path) -> dict[str, Any]:
    """Return a verdict whose digest matches its content; InputError when it is missing, not readable or edited."""
    try:
        verdict: dict[str, Any] = json.loads(path.read_bytes())
        rest = {name: value for name, value in verdict.items() if name != "digest"}
        digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `python -m pipelines drift measure` first") from None
    except (ValueError, AttributeError):
        raise InputError(f"{path} is not a verdict: measure that week again") from None
    if digest != verdict.get("digest"):
        raise InputError(f"{path}: its digest does not match its content, it was edited; measure that week again")
    return verdict


def latest_key(live: Path) -> str:
    """Return the key of the verdict that was measured last, whatever its week; InputError without any."""
    folder = live / FOLDER
    verdicts = sorted(folder.glob("*/verdict.json"), key=lambda file: (file.stat().st_mtime_ns, file))
    if not verdicts:
        raise InputError(f"no verdict in {folder}: run `python -m pipelines drift measure` first")
    return verdicts[-1].parent.name


def write_page(folder: Path, verdict: dict[str, Any], *, decision: dict[str, Any] | None, alarm: AlarmParams) -> None:
    """Write `drift.html` of a verdict and, if there is one already, of the decision on it."""
    from pipelines.reporting.drift_page import drift_page

    limits = {"alert_excess": alarm.alert_excess, "breach_excess": alarm.breach_excess}
    write_atomic(folder / "drift.html", drift_page(verdict, decision=decision, limits=limits).encode())
