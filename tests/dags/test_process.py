"""Processes are found by a variable that they inherit, and a zombie counts as dead."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from light_repository import ROOT
from orchestration.constants import TASK_VARIABLE
from orchestration.process import alive, end_all, locked, marked, start_time, write_atomic

SLEEP = [sys.executable, "-c", "import time; time.sleep(100)"]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    mark = f"{tmp_path}#run/stage"
    process = subprocess.Popen(SLEEP, env={**os.environ, TASK_VARIABLE: mark})
    while not marked(mark):  # the system may show a new process's environment a moment later
        time.sleep(0.01)
    yield mark, process
    process.kill()
    process.wait()


def test_a_mark_is_that_of_a_task_or_the_prefix_of_a_run(sleeper: tuple[str, subprocess.Popen[bytes]]) -> None:
    mark, process = sleeper
    assert marked(mark) == marked(mark.removesuffix("stage"), prefix=True) == [process.pid]
    assert marked(mark.removesuffix("e")) == marked(f"{mark}.after") == []


def test_a_zombie_is_dead_and_is_not_waited_for(sleeper: tuple[str, subprocess.Popen[bytes]]) -> None:
    mark, process = sleeper
    assert alive(process.pid)
    assert end_all(mark) == [process.pid]
    assert not alive(process.pid), "killed, and its parent has not asked for its status"
    assert marked(mark) == []
    assert process.wait() < 0
    assert not alive(process.pid) and start_time(process.pid) is None


def test_the_group_of_a_record_is_ended_unless_it_belongs_to_another_program(tmp_path: Path) -> None:
    other = subprocess.Popen(SLEEP, start_new_session=True)
    try:
        started = start_time(other.pid)
        assert started is not None and abs(started - time.time()) < 60
        for start in (started - 60, 1.0):  # of a program that had the number before, and of another boot
            assert end_all(str(tmp_path), record={"pid": other.pid, "start": start}) == []
        assert end_all(str(tmp_path), record={"pid": other.pid, "start": started + 0.5}) == [other.pid]
    finally:
        other.kill()
        other.wait()


def test_a_shared_lock_admits_others_and_a_file_is_replaced_completely(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "lock", shared=True), locked(tmp_path / "a" / "lock", shared=True):
        write_atomic(tmp_path / "b" / "file", "text")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["file"]


def test_nothing_reads_the_process_file_system_of_linux() -> None:
    for file in (ROOT / "dags").rglob("*.py"):
        assert "/proc" not in file.read_text(encoding="utf-8"), file
