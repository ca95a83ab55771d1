"""A challenger next to the champion: whatever it does, every request is answered, and a faulty one is stopped by rule."""

import threading
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from pipelines.live.serve import trial
from pipelines.live.serve.answering import LiveRecord, checked
from pipelines.live.serve.canary import is_canary
from pipelines.live.serve.models import Loaded, Pair
from pipelines.runtime.errors import InputError
from tests.factories.service import AUTHORIZED, FakePredictor, until

pytestmark = [pytest.mark.enable_socket, pytest.mark.server]
IN = next(f"r{n}" for n in range(99) if is_canary(f"r{n}", share=0.5, salt="2"))
OUT = next(f"r{n}" for n in range(99) if not is_canary(f"r{n}", share=0.5, salt="2"))
GARBAGE = {
    "NaN": lambda answer: answer.assign(confidence=np.nan),
    "infinity": lambda answer: answer.assign(confidence=np.inf),
    "beyond 1": lambda answer: answer.assign(confidence=1.5),
    "a text for a number": lambda answer: answer.assign(confidence="sure"),
    "fewer rows": lambda answer: answer.iloc[:-1],
    "more rows": lambda answer: pd.concat([answer, answer]),
    "an unknown label": lambda answer: answer.assign(label="nonsense"),
    "no label": lambda answer: answer.assign(label=None),
    "other ids": lambda answer: answer.assign(id="x"),
    "no column": lambda answer: answer[["id"]],
    "nothing": lambda answer: None,
}


class Garbage(FakePredictor):
    """Answers well at first, then breaks its answers."""

    def __init__(self, labels, *, kind):
        super().__init__(labels)
        self.kind = kind

    def predict(self, records):
        return GARBAGE[self.kind](super().predict(records))


def records(*names):
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    return [LiveRecord({"id": name, "text": f"text {name}", "received_at": moment}) for name in names]


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_of_a_challenger_costs_no_answer_and_counts_as_a_failed_call(make_set, complaints, serve_params, kind):
    canary = serve_params.canary.model_copy(update={"max_wait_ms": 60_000.0})  # a busy machine is slow
    app = make_set(challenger=Garbage(complaints.schema.labels, kind=kind), parameters={"canary": canary})
    app.share = 0.5
    with TestClient(app.app, headers=AUTHORIZED) as client:
        for names in ([IN], [OUT], [IN, OUT]):
            answer = client.post("/predict", json={"records": [{"id": name, "text": "a"} for name in names]})
            assert answer.status_code == 200
            assert [(row["id"], row["model_version"]) for row in answer.json()["predictions"]] == [
                (n, 1) for n in names
            ]
        until(lambda: app.metrics.failures(2) == (4, 4))
    assert {(line["model_version"], line["role"]) for line in app.lines()} == {(1, "champion")}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_of_a_champion_is_refused_with_its_reason(complaints, kind):
    frame = pd.DataFrame({"id": ["a", "b"], "text": ["x", "y"]})
    good = FakePredictor(complaints.schema.labels).predict(frame)
    assert checked(good, frame, labels=complaints.schema.labels)["confidence"].tolist() == [0.8, 0.8]
    with pytest.raises(InputError):
        checked(GARBAGE[kind](good), frame, labels=complaints.schema.labels)


def test_a_canary_in_time_answers_its_share_and_sees_all_others_in_the_shadow(make_set, complaints):
    app = make_set(challenger=FakePredictor(complaints.schema.labels))
    app.share = 0.5
    answers = app.answer(records(IN, OUT))
    assert [(row["id"], row["model_version"]) for row in answers] == [(IN, 2), (OUT, 1)]
    app.stop()
    assert {(line["record_id"], line["model_version"], line["role"]) for line in app.lines()} == {
        (IN, 2, "canary"), (IN, 1, "shadow"), (OUT, 1, "champion"), (OUT, 2, "shadow")
    }  # fmt: skip


def test_a_challenger_that_hangs_holds_up_no_answer_and_is_stopped(make_set, complaints, serve_params, monkeypatch):
    go = threading.Event()
    canary = serve_params.canary.model_copy(update={"max_wait_ms": 50.0, "max_waiting": 3, "max_call_seconds": 0.001})
    app = make_set(challenger=FakePredictor(complaints.schema.labels, go=go), parameters={"canary": canary})
    app.share = 0.5
    with TestClient(app.app, headers=AUTHORIZED) as client:
        for number in range(8):
            name = IN if number == 0 else f"{OUT}-{number}"
            (row,) = client.post("/predict", json={"id": name, "text": "a"}).json()["predictions"]
            assert row["model_version"] == 1
        assert "perennial_challenger_dropped_total" in client.get("/metrics").text
        stuck, stopped = app.answer.stuck_seconds(), []
        monkeypatch.setattr(
            "pipelines.live.release.moves.stop_canary",
            lambda registry, *, version, reason: stopped.append(reason) or {"action": "stop"},
        )
        registry = type("Fake", (), {"alias": lambda self, name: 2 if name == "challenger" else 1})()
        result = trial.evaluate_canary(
            registry, live=app.journal.folder, params=canary, today=date(2026, 1, 5), metrics=app.metrics, stuck=stuck
        )
        assert result["state"] == "stopped" and "has been running" in stopped[0]
        app.models.pair = Pair(app.models.pair.champion, None)
        assert client.post("/predict", json={"text": "a"}).status_code == 200
    go.set()
    roles = {(line["record_id"], line["role"]) for line in app.lines() if line["model_version"] == 1}
    assert (IN, "champion") in roles and {role for _, role in roles} == {"champion"}
    assert app.metrics.failures(2)[0] >= 1  # the answer that came too late


def test_the_next_challenger_does_not_wait_for_one_that_hangs(make_set, complaints):
    go = threading.Event()
    app = make_set(challenger=FakePredictor(complaints.schema.labels, go=go))
    app.answer.begin(records(OUT))
    app.models.pair = Pair(app.models.pair.champion, Loaded(3, FakePredictor(complaints.schema.labels)))
    app.answer(records("later"))
    assert (3, "shadow") in {(line["model_version"], line["role"]) for line in app.lines()}
    go.set()


def test_a_full_disk_is_an_error_of_the_request_and_not_of_the_challenger(make_set, complaints, monkeypatch):
    app = make_set(challenger=FakePredictor(complaints.schema.labels))
    app.share = 0.5

    def refuse(rows):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(app.journal, "write", refuse)
    (pending,) = app.answer.begin(records(IN))
    with pytest.raises(OSError, match="no space"):
        pending.answer.result(60)
    assert app.metrics.failures(2)[0] == 0
