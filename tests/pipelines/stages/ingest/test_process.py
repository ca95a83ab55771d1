"""The stage as a process: killed at any moment and started again, and on a disk that is full for real."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.factories.tickets import tickets

pytestmark = pytest.mark.slow
WORDS = "the parcel came late and the box was open when our neighbor took it in number"


def start(folder: Path, repository: Path) -> subprocess.Popen[str]:
    """Ingest in a process of its own."""
    if not (folder / "pipelines").exists():
        (folder / "pipelines").symlink_to(repository / "pipelines")
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.stages.ingest"],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> int:
    """Its exit code; the pipe is read to its end and closed."""
    process.communicate()
    return process.returncode


def many(make: list[dict], n: int) -> list[dict]:
    """`n` tickets made of a few, each with an id of its own."""
    return [{**make[at % len(make)], "ticket": f"k{at}", "words": f"{WORDS} {at}"} for at in range(n)]


@pytest.mark.chaos
def test_killed_at_any_moment_and_started_again_gives_the_same_bytes(checkout, repository) -> None:
    checkout.csv(many(tickets(), 6_000))
    checkout.set(chunk_rows=100)
    began = time.monotonic()
    assert finish(start(checkout.folder, repository)) == 0
    whole, took = checkout.bytes(), time.monotonic() - began
    killed = 0
    for share in (0.3, 0.6, 0.75, 0.9, 0.97):
        process = start(checkout.folder, repository)
        time.sleep(took * share)
        process.send_signal(signal.SIGKILL)
        killed += finish(process) == -signal.SIGKILL
        for name, content in whole.items():
            assert (checkout.folder / "data/ingest" / name).read_bytes() == content, f"{name} was left half written"
    assert killed
    assert finish(start(checkout.folder, repository)) == 0
    assert checkout.bytes() == whole


def test_a_disk_that_is_full_for_real(checkout, repository) -> None:
    data = checkout.folder / "data"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", str(data).encode(), b"tmpfs", 0, b"size=256k") != 0:
        pytest.skip(f"no file system of 256 KiB can be mounted here: {os.strerror(ctypes.get_errno())}")
    try:
        (data / "last_good.json").write_text("{}\n")
        checkout.csv(many(tickets(), 6_000))
        process = start(checkout.folder, repository)
        message = process.communicate()[1]
        assert process.returncode == 74, message
        assert "Traceback" not in message and "no space left" in message
        assert not (data / "ingest" / "records.parquet").exists()
    finally:
        libc.umount2(str(data).encode(), 2)
