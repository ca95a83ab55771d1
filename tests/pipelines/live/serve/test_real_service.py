"""The whole service on a real registry with real networks: releases, canaries and rollbacks under load, and kills."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from pipelines.gates.verdict import Check, Verdict
from pipelines.live.release import moves
from pipelines.live.release.registry import CHALLENGER, CHAMPION, Registry
from pipelines.live.score.export import convert, export_folder, with_verdict
from pipelines.live.serve.commands import TOKEN_VARIABLE, utc_now
from pipelines.live.serve.journal import compact
from pipelines.live.serve.metrics import Metrics
from pipelines.live.serve.models import Models
from pipelines.live.serve.params import ServeParams
from pipelines.live.serve.service import Service
from pipelines.models.predictor import Predictor
from pipelines.monitoring import predictions
from pipelines.records.conversion import to_live_records
from pipelines.runtime.project import Project
from tests.factories.service import TOKEN, Load, free_port, kill, post, until
from tests.factories.state import live_folder
from tests.factories.tiny_release import challenge, register_tiny, release

pytestmark = [pytest.mark.enable_socket, pytest.mark.server, pytest.mark.slow]
NAME = "perennial-complaints"


@pytest.fixture(scope="module")
def made(tmp_path_factory, repository):
    """A state root whose registry holds four versions of tiny networks, none of them champion."""
    from pipelines.records.domain import Domain

    folder = tmp_path_factory.mktemp("registry")
    labels = Domain(repository / "pipelines" / "domains" / "complaints").schema.labels
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERENNIAL_HOME", str(folder / "home"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        registry = Registry.open(Project.open(repository))
        assert [register_tiny(registry, folder / "made", labels=labels, seed=n) for n in range(4)] == [1, 2, 3, 4]
    return folder / "home"


@pytest.fixture
def registry(made, repository, monkeypatch):
    """That registry with a history of its own; the working directory is this repository."""
    shutil.copytree(made, os.environ["PERENNIAL_HOME"])  # with its artifacts: a state root moves as a whole
    monkeypatch.chdir(repository)
    return Registry.open(Project.open(repository))


def _fresh(folder):
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def running(registry, run_app, repository):
    """The service of `python -m pipelines serve`, with short intervals; call it to start."""
    project = Project.open(repository)
    params = project.section("serve", ServeParams)
    canary = params.canary.model_copy(update={"share": 0.3, "pairs_wanted": 2000, "max_slowdown": 1000.0})
    often = params.model_copy(update={"poll_seconds": 0.1, "maintenance_seconds": 0.4, "canary": canary})

    def start():
        service = Service(project, often, clock=utc_now)
        server = run_app(service.app(token=TOKEN))
        service.start()
        until(lambda: service.models.ready)
        return service, server.url

    return start


@pytest.mark.timeout(600)
def test_no_request_fails_in_a_reload_a_stopped_canary_and_a_rollback(registry, running, complaints):
    release(registry, 1)
    service, url = running()
    load = Load(url, clients=4)
    load.answered_by(1)
    release(registry, 2)  # a reload
    load.answered_by(2)
    challenge(registry, 3)
    load.answered_by(3)

    def stopped():  # by late labels that say: the challenger is worse
        add_labels_against(3)
        return registry.alias(CHALLENGER) is None

    until(stopped)
    until(lambda: service.models.pair.challenger is None)
    load.answered_by(2)
    moves.rollback(registry, reason="it answers nonsense")
    until(lambda: service.models.pair.champion.version == 1)
    load.answered_by(1)
    load.stop()
    assert not load.failures
    assert registry.is_stopped(3)
    assert registry.alias(CHAMPION) == 1
    assert {answer["model_version"] for answer in load.answers} == {1, 2, 3}
    service.journal.close()
    compact(service.journal.folder, schema=complaints.schema, live=service.live)
    today = datetime.now(UTC).date()
    found = predictions.read_predictions(live_folder(), start=today - timedelta(days=1), end=today + timedelta(days=1))
    assert {answer["request_id"] for answer in load.answers} <= set(found["request_id"])


def add_labels_against(challenger: int) -> None:
    """Label all that both have answered with the champion's answer."""
    today = datetime.now(UTC).date()
    found = predictions.read_predictions(live_folder(), start=today - timedelta(days=1), end=today + timedelta(days=1))
    if found.empty:
        return
    sides = [found[found["model_version"] == version].drop_duplicates("record_id") for version in (2, challenger)]
    both = sides[0].merge(sides[1], on="record_id", suffixes=("", "_new"))
    labels = both[["record_id", "label"]]
    if not labels.empty:
        predictions.add_labels(live_folder(), labels.assign(labeled_at=pd.Timestamp(datetime.now(UTC))))


@pytest.mark.timeout(600)
def test_an_alias_on_a_broken_version_or_on_another_domains_changes_nothing(registry, running, repository, tmp_path):
    release(registry, 1)
    folder = registry.package(2) / "model" / "linear.safetensors"
    content = folder.read_bytes()
    other = register_tiny(registry, tmp_path / "made", labels=("spam", "ham"), seed=9)
    service, url = running()
    load = Load(url, clients=2)
    load.answered_by(1)
    try:
        folder.write_bytes(content[:-1] + b"x")
        registry.move_alias(CHAMPION, 2)
        until(lambda: 2 in service.models.refused)
        registry.move_alias(CHAMPION, other)
        until(lambda: other in service.models.refused)
    finally:
        folder.write_bytes(content)
    load.answered_by(1)
    load.stop()
    assert not load.failures
    assert "was changed" in service.models.refused[2]
    assert "answers with the labels" in service.models.refused[other]
    assert {answer["model_version"] for answer in load.answers} == {1}


@pytest.mark.parametrize("agreement", [1.0, 0.9])
def test_an_export_answers_for_its_version_only_where_its_gate_is_open(registry, complaints, agreement):
    release(registry, 1)
    model = registry.package(1) / "model"
    folder = _fresh(export_folder(model, exports=Path(os.environ["PERENNIAL_HOME"]) / "exports"))
    convert(Predictor.load(model, precision="float32"), folder)
    check = Check.at_least("agreement", agreement, limit=0.995, rows=9, min_rows=1, required=True, sentence="alike")
    record = with_verdict(folder, Verdict.of("export", [check]))
    models = Models(registry, domain=complaints, threads=1, exports=Path(os.environ["PERENNIAL_HOME"]) / "exports")
    assert models.refresh()
    loaded = models.pair.champion
    metrics = Metrics()
    metrics.serving(champion=1, challenger=None, exports={1: loaded.export})
    line = f'perennial_export{{verdict="{record["verdict"]["digest"]}",version="1"}} 1.0'
    assert (line in metrics.render().decode()) is (agreement == 1.0)
    assert loaded.export == (record["verdict"]["digest"] if agreement == 1.0 else None)
    records = to_live_records(
        pd.DataFrame({"id": ["a", "b"], "text": ["my card", "a debt of the bank"]}), domain=complaints
    )
    released = Predictor.load(model).predict(records)
    answers = loaded.predictor.predict(records)
    assert answers["label"].tolist() == released["label"].tolist()
    assert answers["confidence"].tolist() == pytest.approx(released["confidence"].tolist(), abs=0.02)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_the_real_process_waits_for_a_champion_and_a_kill_costs_no_acknowledged_line(registry, repository, complaints):
    port = free_port()
    environment = {**os.environ, "PERENNIAL_HOME": str(Path(os.environ["PERENNIAL_HOME"])), TOKEN_VARIABLE: TOKEN}
    command = [sys.executable, "-m", "pipelines", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=repository, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: status(url) == 503)  # it runs, and no model is loaded yet
        release(registry, 1)
        until(lambda: status(url) == 200)
        load = Load(url, clients=4)
        until(lambda: len(load.answers) > 30)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        load.stop()
    finally:
        kill(process)
    counts = compact(live_folder() / "journal", schema=complaints.schema, live=live_folder())
    assert counts["broken"] <= 1
    found = predictions.read_predictions(
        live_folder(), start=date(2020, 1, 1), end=datetime.now(UTC).date() + timedelta(days=1)
    )
    assert {answer["request_id"] for answer in load.answers} <= set(found["request_id"])


def status(url: str) -> int | None:
    """Status of one answer, or None while nothing listens."""
    try:
        return post(url, {"text": "awake?"})[0]
    except OSError:
        return None
