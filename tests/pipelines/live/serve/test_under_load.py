"""Exchanges, canaries and kills while requests come in: no request fails, no acknowledged line is lost."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from pipelines.live.serve.canary import is_canary
from pipelines.live.serve.journal import compact
from pipelines.live.serve.models import Loaded, Pair
from tests.factories.service import PATIENCE_S, TOKEN, FakePredictor, Load, free_port, kill, post, until

pytestmark = [pytest.mark.enable_socket, pytest.mark.server, pytest.mark.slow]


def test_no_request_fails_while_the_model_is_exchanged_and_rolled_back(make_set, complaints, run_app):
    app = make_set()
    server = run_app(app.app)
    load = Load(server.url, clients=4)
    labels = complaints.schema.labels
    for version in (2, 3, 2, 1, 4):
        app.models.pair = Pair(Loaded(version, FakePredictor(labels)), None)
        load.answered_by(version)
    load.stop()
    assert not load.failures
    assert {answer["model_version"] for answer in load.answers} == {1, 2, 3, 4}


def test_no_request_fails_while_a_canary_begins_and_is_stopped(make_set, complaints, run_app):
    app = make_set()
    app.share = 0.3
    server = run_app(app.app)
    old = app.models.pair.champion
    load = Load(server.url, clients=4)
    new = FakePredictor(complaints.schema.labels)
    load.answered_by(1)
    app.models.pair = Pair(old, Loaded(2, new))
    load.answered_by(2)
    app.models.pair = Pair(old, None)
    load.answered_by(1)
    load.stop()
    assert not load.failures
    by_canary = {answer["id"] for answer in load.answers if answer["model_version"] == 2}
    assert by_canary
    assert all(is_canary(name, share=0.3, salt="2") for name in by_canary)
    lines = [line for line in app.lines() if line["record_id"] in by_canary]
    assert {(line["role"], line["model_version"]) for line in lines} == {("canary", 2), ("shadow", 1)}
    assert len(lines) == 2 * len(by_canary)


def test_a_challenger_that_fails_costs_no_request(make_set, complaints, run_app):
    broken = FakePredictor(complaints.schema.labels, fail=lambda records: True)
    app = make_set(challenger=broken)
    app.share = 0.5
    server = run_app(app.app)
    load = Load(server.url, clients=2)
    load.answered_by(1)
    load.stop()
    assert not load.failures
    assert {answer["model_version"] for answer in load.answers} == {1}
    failed, calls = app.metrics.failures(2)
    assert failed == calls > 0


SERVER = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    import uvicorn
    from tests.factories.service import Set
    from pipelines.records.domain import Domain
    from pipelines.runtime.project import Project
    from pipelines.live.serve.params import ServeParams
    root = Path({root!r})
    project = Project.open(root)
    app = Set(Path({folder!r}), domain=Domain(project.domain_folder), params=project.section("serve", ServeParams))
    uvicorn.run(app.app, host="127.0.0.1", port={port}, log_level="error")
"""


def start(tmp_path, repository, port):
    script = SERVER.format(root=str(repository), folder=str(tmp_path), port=port)
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            if post(f"http://127.0.0.1:{port}", {"text": "awake?"})[0] == 200:
                return process
        except OSError:
            time.sleep(0.1)
    kill(process)
    raise AssertionError("the service did not come up")


@pytest.mark.chaos
def test_every_answer_before_a_kill_is_in_the_log(tmp_path, repository, complaints):
    port = free_port()
    process = start(tmp_path, repository, port)
    load = Load(f"http://127.0.0.1:{port}", clients=4)
    until(lambda: len(load.answers) > 100)
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    load.stop()
    counts = compact(tmp_path / "journal", schema=complaints.schema, live=tmp_path)
    import pandas as pd

    found = pd.concat([pd.read_parquet(file) for file in (tmp_path / "predictions").rglob("part.parquet")])
    assert counts["broken"] <= 1
    assert {answer["request_id"] for answer in load.answers} <= set(found["request_id"])


def test_schemathesis_finds_no_500(make_set, run_app):
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    app = make_set().app
    server, headers, statuses = run_app(app), {"Authorization": f"Bearer {TOKEN}"}, []
    schema = schemathesis.openapi.from_dict(app.openapi())
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=120,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes_of(operation))))
        def one(case):
            answer = case.call(base_url=server.url, headers=headers)
            statuses.append(answer.status_code)
            assert answer.status_code < 500, answer.text

        one()
    assert {200, 422} <= set(statuses)


def modes_of(operation):
    """Data that fits the schema and, where there is a body to break, data that does not."""
    from schemathesis import GenerationMode

    return [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if operation.body else [])]
