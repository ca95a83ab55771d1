"""The stage as a process: killed at any of its writes and started again, and on a disk that is full for real."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.factories import kills
from tests.factories.tickets import tickets

pytestmark = pytest.mark.slow
STAGE = "pipelines.stages.ingest"
WORDS = "the parcel came late and the box was open when our neighbor took it in number"


def start(folder: Path, repository: Path, *command: str) -> subprocess.Popen[str]:
    """Ingest in a process of its own, by this command if one is given."""
    if not (folder / "pipelines").exists():
        (folder / "pipelines").symlink_to(repository / "pipelines")
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(folder)}
    return subprocess.Popen(
        command or [sys.executable, "-m", STAGE],
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
def test_killed_at_any_write_and_started_again_gives_the_same_bytes(checkout, repository, tmp_path) -> None:
    checkout.csv(many(tickets(), 3_000))
    checkout.set(chunk_rows=100)

    def ingest(at: int) -> int:
        events = {"below": str(checkout.folder), "at": at, "counter": tmp_path / "events"}
        return finish(start(checkout.folder, repository, *kills.command(kills.module(STAGE), **events)))

    assert ingest(0) == 0
    whole, events = checkout.bytes(), int((tmp_path / "events").read_text())
    for at in (events // 2, events - 3, events):
        assert ingest(at) == -signal.SIGKILL
        for name, content in whole.items():
            assert (checkout.folder / "data/ingest" / name).read_bytes() == content, f"{name} was left half written"
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
