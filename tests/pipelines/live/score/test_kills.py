"""Scoring killed at any of its writes and run again, and two runs at once: each row once, whole files, no orphan process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipelines.live.release.registry import Registry
from pipelines.monitoring import predictions
from pipelines.records.domain import Domain
from pipelines.runtime.project import Project
from tests.factories import kills
from tests.factories.state import live_folder, state_root
from tests.factories.tiny_release import register_tiny, release

pytestmark = [pytest.mark.slow, pytest.mark.chaos]
START, END, ROWS = date(2026, 1, 5), date(2026, 1, 12), 1200

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import pandas as pd
from pipelines.monitoring import predictions
from pipelines.records.domain import Domain
from pipelines.live.score import partitions

schema = Domain(Path("pipelines/domains/complaints")).schema
for part in partitions.cut(pd.read_parquet(sys.argv[1]), rows=40):
    said = pd.DataFrame({"id": part["id"], "label": "card", "confidence": 0.9})
    rows = partitions.as_rows(part, said, model_version=1, served_at=datetime.now(UTC), features=schema.features)
    predictions.add_predictions(Path(sys.argv[2]), predictions.as_predictions(rows, schema=schema))
"""

COMMAND = """
import sys
import pandas as pd
from pipelines.__main__ import main
from pipelines.stages.ingest import window

# The window is read from a file; everything that is written, and by which process, is the command's own.
window.read_window = lambda project, **_: (pd.read_parquet(sys.argv[1]), {"passed": True})
if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[2:]]))
"""


@pytest.fixture
def schema(repository):
    return Domain(repository / "pipelines" / "domains" / "complaints").schema


@pytest.fixture
def records(schema, tmp_path):
    generator = np.random.default_rng(4)
    words = np.array(["card", "loan", "debt", "a", "bank", "fee", "report"])
    frame = pd.DataFrame(
        {
            "id": [f"r{number}" for number in range(ROWS)],
            "text": [" ".join(generator.choice(words, size)) for size in generator.integers(1, 40, ROWS)],
            "received_at": pd.date_range(START, END, periods=ROWS + 1, tz="UTC", unit="us")[:-1],
            **{
                feature.name: pd.Series([None] * ROWS, dtype="string" if feature.kind == "category" else "float64")
                for feature in schema.features
            },
        }
    )
    frame.to_parquet(tmp_path / "records.parquet")
    return tmp_path / "records.parquet"


def found() -> pd.DataFrame:
    """What drift reads at this moment: never a file in part, never a row twice."""
    frame = predictions.read_predictions(live_folder(), start=START, end=END)
    if not frame.empty:
        assert not frame.duplicated(predictions.KEY).any()
    return frame


def test_writers_killed_at_any_write_leave_whole_files_and_the_next_completes_them(records, repository, tmp_path):
    seen = 0
    environment = {**os.environ, "PERENNIAL_HOME": str(state_root())}
    given = (str(records), str(live_folder()))
    # A write is two events, the temporary file and its final name: kills before, in and after a write of a file.
    for at in (1, 8, 5, 12):
        words = kills.command(WRITER, *given, below=".partial", at=at, counter=tmp_path / "events")
        writer = subprocess.Popen(words, cwd=repository, env=environment)
        while writer.poll() is None:
            found()  # reads as fast as it can while the files are replaced
        assert writer.returncode == -signal.SIGKILL
        now = len(found())
        assert now >= seen  # nothing that was written is lost
        seen = now
    assert 0 < seen < ROWS
    command = [sys.executable, "-c", WRITER, *given]
    two = [subprocess.Popen(command, cwd=repository, env=environment) for _ in range(2)]
    while any(process.poll() is None for process in two):
        found()
    assert [process.returncode for process in two] == [0, 0]
    assert sorted(found()["record_id"]) == sorted(f"r{number}" for number in range(ROWS))
    assert not list(predictions.predictions_folder(live_folder()).rglob("*.partial"))


@pytest.fixture
def checkout(tmp_path, repository, schema, monkeypatch):
    """This repository's code and parameters with small partitions and two workers, and a champion of a tiny network."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "pipelines").symlink_to(repository / "pipelines", target_is_directory=True)
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["score"] |= {"workers": 2, "partition_rows": 60}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(root)
    registry = Registry.open(Project.open())
    release(registry, register_tiny(registry, tmp_path / "made", labels=schema.labels, seed=1))
    return root


def children_of(group: int) -> list[int]:
    """Living processes of a process group."""
    alive = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(pgrp) == group and state != "Z":
                alive.append(int(entry.name))
    return alive


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_command_is_killed_and_run_again_and_twice_at_once(checkout, records, tmp_path):
    (tmp_path / "score_window.py").write_text(COMMAND)
    environment = {**os.environ, "PERENNIAL_HOME": str(state_root()), "PYTHONPATH": str(checkout)}
    command = [sys.executable, str(tmp_path / "score_window.py"), str(records)]
    command += ["--start", START.isoformat(), "--end", END.isoformat(), "--now", END.isoformat()]

    def begin() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    seen = 0
    for goal in (1, 400):
        run = begin()
        until = time.monotonic() + 600
        while run.poll() is None and time.monotonic() < until and len(found()) < goal:
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        until = time.monotonic() + 60
        while (left := children_of(run.pid)) and time.monotonic() < until:
            time.sleep(0.1)
        assert not left, "worker processes outlived the run that was killed"
        assert seen <= len(found()) < ROWS
        seen = len(found())
    assert seen
    two = [begin(), begin()]
    results = [json.loads(process.communicate(timeout=900)[0]) for process in two]
    assert [process.returncode for process in two] == [0, 0]
    assert sum(answer["added"] for answer in results) == ROWS - seen
    assert sorted(found()["record_id"]) == sorted(f"r{number}" for number in range(ROWS))
    again = begin()
    assert json.loads(again.communicate(timeout=900)[0])["added"] == 0
