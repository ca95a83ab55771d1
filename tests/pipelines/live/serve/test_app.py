"""What clients may send, what they get back, and what is logged."""

import asyncio
import json
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest
from starlette.testclient import TestClient

from pipelines.live.serve import journal as journal_module
from pipelines.live.serve.guard import METHODS, Guard
from pipelines.live.serve.journal import check_line, compact
from pipelines.live.serve.metrics import Metrics
from pipelines.monitoring.predictions import FIXED, columns_of
from pipelines.records.schema import Feature
from pipelines.runtime.errors import StoreError
from tests.factories.service import AUTHORIZED, TOKEN, FakePredictor, Load, post, until

pytestmark = [pytest.mark.enable_socket, pytest.mark.server]  # an event loop needs a pair of sockets
BAD = {
    "not JSON": (b"{", 422),
    "not UTF-8": (b'{"text": "\xff"}', 400),
    "nested too deep": (b"[" * 100_000, 400),
    "nothing": (b"", 422),
    "a list": (b"[]", 422),
    "null": (b"null", 422),
    "no text": (b"{}", 422),
    "text is a number": (b'{"text": 1}', 422),
    "text is empty": (b'{"text": ""}', 422),
    "null byte": (b'{"text": "a\\u0000b"}', 422),
    "half a surrogate pair": (b'{"text": "\\ud800"}', 422),
    "surrogate in a field's name": (b'{"text": "a", "\\ud800": 1}', 422),
    "unknown field": (b'{"text": "a", "color": "red"}', 422),
    "NaN": (b'{"text": "a", "amount": NaN}', 422),
    "infinity": (b'{"text": "a", "amount": 1e999}', 422),
    "a number of 5000 digits": (b'{"text": "a", "amount": 1' + b"0" * 5000 + b"}", 400),
    "a number as text": (b'{"text": "a", "amount": "12"}', 422),
    "a category as number": (b'{"text": "a", "state": 5}', 422),
    "from the future": (b'{"text": "a", "received_at": "2999-01-01T00:00:00Z"}', 422),
    "before time began": (b'{"text": "a", "received_at": "0001-01-01T00:00:00+14:00"}', 422),
    "no time zone": (b'{"text": "a", "received_at": "2025-01-01T00:00:00"}', 422),
    "empty id": (b'{"text": "a", "id": ""}', 422),
    "a long id": (b'{"text": "a", "id": "' + b"x" * 300 + b'"}', 422),
    "no records": (b'{"records": []}', 422),
    "too many records": (json.dumps({"records": [{"text": "a"}] * 300}).encode(), 422),
    "one bad record of two": (b'{"records": [{"text": "a"}, {"text": null}]}', 422),
    "both kinds at once": (b'{"text": "a", "records": [{"text": "a"}]}', 422),
    "a text too long": (json.dumps({"text": "a" * 300_000}).encode(), 422),
    "a body too long": (b" " * 5_000_000, 413),
}


def test_one_record_is_answered_and_logged(make_set, complaints):
    app = make_set()
    with TestClient(app.app, headers=AUTHORIZED) as client:
        answer = client.post("/predict", json={"id": "c1", "text": "a debt that is not mine", "state": "CA"})
    assert answer.status_code == 200
    (prediction,) = answer.json()["predictions"]
    assert prediction["id"] == "c1"
    assert prediction["model_version"] == 1
    (line,) = app.lines()
    assert set(line) == set(FIXED)
    assert [*line["features"]] == [name for name in columns_of(complaints.schema) if name not in FIXED]
    assert {key: line[key] for key in ("record_id", "label", "confidence", "request_id", "role")} == {
        "record_id": "c1",
        "label": prediction["label"],
        "confidence": prediction["confidence"],
        "request_id": prediction["request_id"],
        "role": "champion",
    }
    assert line["features"]["category.state"] == "CA"
    assert line["features"]["number.n_words"] == 6  # computed from the text, as in training


def test_answers_come_in_the_order_of_the_records_and_missing_ids_are_made(make_set):
    records = [{"text": f"text {number}", "id": f"r{number}"} for number in range(20)] + [{"text": "nameless"}]
    with TestClient(make_set().app, headers=AUTHORIZED) as client:
        answers = client.post("/predict", json={"records": records}).json()["predictions"]
        alone = client.post("/predict", json=records[7]).json()["predictions"][0]
    assert [answer["id"] for answer in answers[:20]] == [record["id"] for record in records[:20]]
    assert len(answers[20]["id"]) == 32
    assert alone["label"] == answers[7]["label"]


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_a_reason_and_never_a_500(make_set, case):
    body, status = BAD[case]
    app = make_set()
    with TestClient(app.app, headers=AUTHORIZED) as client:
        answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, answer.text
        assert answer.json()["detail"]
        assert len(answer.text) < 10_000
        assert client.post("/predict", json={"text": "still alive"}).status_code == 200
    assert len(app.lines()) == 1


ODD = {
    "blanks alone": ({"text": " \t\n "}, 200),
    "control characters alone": ({"text": "\u0001\u0002"}, 200),
    "200,000 characters": ({"text": "ab c" * 50_000}, 200),
    "emoji, right to left, zero width": ({"text": "\U0001f600 \u202eabc \u200b\u0301" * 50}, 200),
    "an id of every kind of sign": ({"text": "a", "id": "\u202e\n'; drop table --\U0001f600"}, 200),
    "the largest number there is": ({"text": "a", "amount": 1.7e308}, 200),
    "a moment ago by a clock that is ahead": ({"text": "a", "received_at": "AHEAD"}, 200),
    "an object for a text": ({"text": {"text": "a"}}, 422),
    "a list for an id": ({"text": "a", "id": ["a"]}, 422),
    "records is an object": ({"records": {"text": "a"}}, 422),
    "records in records": ({"records": [{"records": [{"text": "a"}]}]}, 422),
    "a name from Python": ({"text": "a", "__class__": "x"}, 422),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_but_valid_json_is_answered_or_refused_and_answers_are_logged_well(make_set, complaints, case):
    body, status = ODD[case]
    if body.get("received_at") == "AHEAD":
        body = {**body, "received_at": (datetime.now(UTC) + timedelta(minutes=50)).isoformat()}
    app = make_set()
    with TestClient(app.app, headers=AUTHORIZED) as client:
        answer = client.post("/predict", json=body)
    assert answer.status_code == status, answer.text
    lines = app.lines()
    assert len(lines) == (status == 200)
    for line in lines:
        assert line["record_id"] == answer.json()["predictions"][0]["id"]
        check_line(line, schema=complaints.schema)


def test_an_id_twice_in_a_request_is_answered_twice_and_stored_once(make_set, complaints, tmp_path):
    app = make_set()
    with TestClient(app.app, headers=AUTHORIZED) as client:
        answer = client.post("/predict", json={"records": [{"id": "x", "text": "a"}, {"id": "x", "text": "b"}]})
    assert [prediction["id"] for prediction in answer.json()["predictions"]] == ["x", "x"]
    counts = compact(app.journal.folder, schema=complaints.schema, live=tmp_path)
    assert (counts["rows"], counts["added"]) == (2, 1)


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "statuses"),
    [
        ("GET", "/predict", {}, b"", {405}),
        ("PUT", "/predict", {}, b"{}", {405}),
        ("POST", "/healthz", {}, b"", {405}),
        ("GET", "/docs", {}, b"", {404}),
        ("GET", "/%00/../etc/passwd", {}, b"", {404}),
        ("POST", "/predict", {"Content-Type": "text/plain"}, b'{"text": "a"}', {415}),
        ("POST", "/predict", {"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", {415}),
        ("POST", "/predict", {"Content-Type": "application/x-www-form-urlencoded"}, b'{"text": "a"}', {415}),
        ("POST", "/predict", {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08", {415}),
        ("POST", "/predict", {"Content-Type": "application/json"}, b'\xef\xbb\xbf{"text": "a"}', {200, 400, 422}),
        ("POST", "/predict", {"Content-Type": "application/json; charset=utf-16"}, b"\xff\xfe{", {415}),
    ],
)
def test_other_methods_paths_and_encodings_are_refused_with_a_4xx(make_set, method, path, headers, content, statuses):
    with TestClient(make_set().app, headers=AUTHORIZED) as client:
        answer = client.request(method, path, headers=headers, content=content)
    assert answer.status_code in statuses, answer.text


@pytest.mark.parametrize("header", [{}, AUTHORIZED])
@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("HEAD", "/healthz", 200, None),
        ("HEAD", "/readyz/", 200, None),
        ("GET", "/healthz/", 200, None),
        ("GET", "/metrics//", 200, None),
        ("GET", "/", 404, None),
        ("POST", "/ml/predict", 404, None),
        ("HEAD", "/predict", 405, "POST, OPTIONS"),
        ("GET", "/predict/", 405, "POST, OPTIONS"),
        ("DELETE", "/healthz", 405, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/predict", 204, "POST, OPTIONS"),
        ("OPTIONS", "/readyz", 204, "GET, HEAD, OPTIONS"),
    ],
)
def test_paths_and_methods_are_answered_as_such_with_or_without_a_token(make_set, header, method, path, status, allow):
    with TestClient(make_set().app, headers=header) as client:
        answer = client.request(method, path, follow_redirects=False)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    if method == "HEAD":
        assert not answer.content


def test_options_of_the_whole_service_names_all_methods(make_set):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "OPTIONS", "path": "*", "headers": []}
    asyncio.run(Guard(None, token="", max_body_bytes=1, max_body_seconds=1, metrics=Metrics())(scope, None, send))
    assert sent[0]["status"] == 204 and (b"allow", b"GET, HEAD, OPTIONS, POST") in sent[0]["headers"]


def test_head_has_the_headers_of_get_and_the_guard_knows_each_route(make_set):
    with TestClient(make_set().app, headers=AUTHORIZED) as client:
        got, head = client.get("/openapi.json"), client.head("/openapi.json")
        assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))
        assert {*got.json()["paths"], "/openapi.json"} == {*METHODS}


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_the_scheme_is_read_in_any_case_and_the_media_type_with_its_parameters(make_set, scheme):
    with TestClient(make_set().app, headers={"Authorization": scheme + TOKEN}) as client:
        assert client.post("/predict/", json={"text": "a"}).status_code == 200
        for kind in ("application/json; charset=UTF-8", "Application/JSON", "application/vnd.api+json"):
            assert client.post("/predict", content=b'{"text": "a"}', headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "bearer x", f"Bearer {'x' * 5000}", "Bearer \xff\xfe"])
def test_a_token_of_any_shape_is_refused(make_set, given):
    with TestClient(make_set().app) as client:
        answer = client.post("/predict", json={"text": "a"}, headers={"Authorization": given.encode("latin-1")})
    assert answer.status_code == 401


def test_a_clock_that_goes_back_costs_no_line(make_set, complaints, tmp_path, monkeypatch):
    app = make_set()
    with TestClient(app.app, headers=AUTHORIZED) as client:
        for number in range(4):
            if number == 2:
                earlier = datetime.now(UTC) - timedelta(days=3)
                monkeypatch.setattr(journal_module.time, "time_ns", lambda: int(earlier.timestamp() * 1e9))
            assert client.post("/predict", json={"id": f"r{number}", "text": "a"}).status_code == 200
            app.journal.close()
    counts = compact(app.journal.folder, schema=complaints.schema, live=tmp_path)
    assert (counts["segments"], counts["added"]) == (4, 4)


def test_the_refusal_does_not_repeat_what_a_person_wrote(make_set):
    with TestClient(make_set().app, headers=AUTHORIZED) as client:
        answer = client.post("/predict", json={"text": 5, "state": "my secret"})
    assert "secret" not in answer.text


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic abc"}])
def test_without_the_token_nothing_but_health_and_metrics_is_answered(make_set, header):
    with TestClient(make_set().app, headers=header) as client:
        assert client.post("/predict", json={"text": "a"}).status_code == 401
        assert client.post("/predict", content=b" " * 5_000_000).status_code == 401
        assert client.get("/openapi.json").status_code == 401
        for path in ("/healthz", "/readyz", "/metrics"):
            assert client.get(path).status_code == 200


def test_it_is_ready_only_with_a_model(make_set):
    app = make_set()
    app.models.ready = False
    with TestClient(app.app, headers=AUTHORIZED) as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        assert client.post("/predict", json={"text": "a"}).status_code == 503
        app.models.ready = True
        assert client.get("/readyz").status_code == 200


def test_a_feature_may_have_any_name(make_set, complaints, tmp_path):
    names = ["role", "label", "model_version", "features", "records", "raw", "json", "model_dump", "a b"]
    schema = replace(complaints.schema, features=tuple(Feature(name, kind="category") for name in names), strata=())
    app = make_set(domain=SimpleNamespace(schema=schema, derive=lambda records: {}, redact=list))
    body = {"id": "r1", "text": "a", **{name: f"my {name}" for name in names}}
    with TestClient(app.app, headers=AUTHORIZED) as client:
        assert client.post("/predict", json=body).status_code == 200
        assert client.post("/predict", json={"records": [{**body, "id": "r2"}]}).status_code == 200
        assert client.post("/predict", json={**body, "feature_0": "x"}).status_code == 422
        assert {*names} < {*client.get("/openapi.json").json()["components"]["schemas"]["Record"]["properties"]}
    assert compact(app.journal.folder, schema=schema, live=tmp_path)["broken"] == 0
    rows = pd.concat(map(pd.read_parquet, tmp_path.rglob("part.parquet")))
    assert sorted(rows["record_id"]) == ["r1", "r2"] and (rows["role"] == "champion").all()
    assert all((rows[f"category.{name}"] == f"my {name}").all() for name in names)


def test_metrics_count_requests_answers_and_confidence(make_set):
    app = make_set()
    app.metrics.serving(champion=1, challenger=None)
    with TestClient(app.app, headers=AUTHORIZED) as client:
        client.post("/predict", json={"text": "a"})
        client.post("/predict", json={"text": 1})
        client.get("/some/../path")
        text = client.get("/metrics").text
    for line in (
        'perennial_requests_total{path="/predict",status="200"} 1.0',
        'perennial_requests_total{path="/predict",status="422"} 1.0',
        'perennial_requests_total{path="other",status="404"} 1.0',
        'perennial_model_version{role="champion"} 1.0',
        "perennial_confidence_count 1.0",
    ):
        assert line in text
    assert 'perennial_request_seconds_bucket{le="0.005",path="/predict"}' in text


def test_a_full_disk_is_a_503_and_no_answer_goes_out_unlogged(make_set, monkeypatch):
    app = make_set()

    def refuse(rows):
        raise StoreError("no space left on the device")

    monkeypatch.setattr(app.journal, "write", refuse)
    with TestClient(app.app, headers=AUTHORIZED) as client:
        answer = client.post("/predict", json={"text": "a"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


def test_a_log_that_cannot_be_written_is_in_readyz_until_it_can(make_set, monkeypatch):
    app = make_set()
    with TestClient(app.app, headers=AUTHORIZED) as client:
        assert client.post("/predict", json={"id": "before", "text": "a"}).status_code == 200
        with monkeypatch.context() as full:
            full.setattr(journal_module.os, "write", _no_space)
            assert client.post("/predict", json={"text": "a"}).status_code == 503
            app.journal.sync()  # the service does so every second
            assert (client.get("/readyz").status_code, client.get("/healthz").status_code) == (503, 200)
        app.journal.sync()
        assert client.get("/readyz").status_code == 200
    (text,) = (file.read_text() for file in app.journal.folder.glob("*.jsonl"))
    assert [json.loads(line)["record_id"] for line in text.splitlines() if line] == ["before"]


def _no_space(descriptor, data):
    raise OSError(28, "No space left on device")


def test_a_body_without_a_length_is_cut_off_while_it_arrives(make_set, run_app):
    server = run_app(make_set().app)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
            b"Authorization: " + AUTHORIZED["Authorization"].encode() + b"\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        sent = 0
        try:
            while sent < 200:
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass  # the service closed the connection
        assert b" 413 " in connection.recv(1000)
    assert sent < 150  # 4 MiB are 64 chunks; the rest was in the buffers of the system


def test_a_body_that_never_ends_is_given_up(make_set, run_app):
    server = run_app(make_set(parameters={"max_body_seconds": 0.3}).app)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            b"Authorization: " + AUTHORIZED["Authorization"].encode() + b"\r\n\r\n{"
        )
        assert b" 408 " in connection.recv(1000)


def test_records_beyond_max_waiting_get_503_and_the_others_are_answered(make_set, complaints, run_app):
    go = threading.Event()
    waiting = FakePredictor(complaints.schema.labels, go=go)
    server = run_app(make_set(champion=waiting, parameters={"max_waiting": 4, "max_batch_records": 2}).app)
    statuses = []
    threads = [
        threading.Thread(target=lambda n=n: statuses.append(post(server.url, {"text": f"t {n}"})[0])) for n in range(12)
    ]
    for thread in threads:
        thread.start()
    until(lambda: statuses.count(503) == 8)
    go.set()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 4 + [503] * 8
    assert post(server.url, {"text": "later"})[0] == 200


def test_one_record_that_breaks_the_model_costs_no_other_request(make_set, complaints, run_app):
    poison = FakePredictor(
        complaints.schema.labels, seconds=0.05, fail=lambda records: records["text"].str.contains("poison").any()
    )
    server = run_app(make_set(champion=poison, parameters={"max_batch_wait_ms": 50.0}).app)
    statuses = {}
    texts = [f"text {number}" for number in range(8)] + ["poison"]
    threads = [
        threading.Thread(target=lambda t=t: statuses.update({t: post(server.url, {"text": t})[0]})) for t in texts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.pop("poison") == 500
    assert set(statuses.values()) == {200}


def test_stopping_answers_the_queue_and_closes_the_log(make_set, complaints, run_app):
    app = make_set(champion=FakePredictor(complaints.schema.labels, seconds=0.2))
    server = run_app(app.app)
    load = Load(server.url, clients=4)
    until(lambda: load.answers)
    server.stop()
    load.stop()
    logged = {line["request_id"] for line in app.lines()}
    assert load.answers
    assert {answer["request_id"] for answer in load.answers} <= logged
    assert not list(app.journal.folder.glob("*.open.jsonl"))
