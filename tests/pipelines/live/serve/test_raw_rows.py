"""Raw rows in a request: answered where they are records, returned with a reason where not, never logged unanswered."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from pipelines.live.serve.answering import LiveRecord
from pipelines.live.serve.journal import check_line
from pipelines.live.serve.raw_rows import RowConverter
from pipelines.runtime.errors import InputError
from tests.factories.service import AUTHORIZED

pytestmark = [pytest.mark.enable_socket, pytest.mark.server]
ROW = {
    "Date received": "2025-01-20",
    "Product": None,
    "Consumer complaint narrative": "a debt that is not mine, call (415) 555-0132",
    "State": "CA",
    "Complaint ID": "17",
}
REJECTED = {
    "no id": ({**ROW, "Complaint ID": None}, "complaint_id"),
    "id with personal data": ({**ROW, "Complaint ID": "me@x.org"}, "[EMAIL]"),
    "not a date": ({**ROW, "Date received": "soon"}, "date_received"),
    "in the future": ({**ROW, "Date received": "2190-01-01"}, "future"),
    "no text": ({**ROW, "Consumer complaint narrative": " \x01 "}, "text"),
    "text too long": ({**ROW, "Consumer complaint narrative": "word " * 50_000}, "characters"),
}


@pytest.fixture
def ask(make_set):
    made = make_set()

    def send(body):
        with TestClient(made.app, headers=AUTHORIZED) as client:
            return client.post("/predict", json=body)

    send.lines = made.lines
    send.metrics = made.metrics
    return send


def test_rows_are_answered_in_order_with_their_place_and_logged(ask, complaints):
    other = {**ROW, "Complaint ID": "18", "Date received": "01/21/2025"}
    answer = ask({"raw": [ROW, {**ROW, "Complaint ID": None}, other]})
    assert answer.status_code == 200, answer.text
    predictions, rejected = answer.json()["predictions"], answer.json()["rejected"]
    assert [(item["row"], item["id"]) for item in predictions] == [(0, "17"), (2, "18")]
    assert [item["row"] for item in rejected] == [1]
    first, second = ask.lines()
    assert (first["received_at"], second["received_at"]) == (
        "2025-01-20T00:00:00.000000+00:00",
        "2025-01-21T00:00:00.000000+00:00",
    )
    features = first["features"]
    assert (features["category.state"], features["number.n_words"]) == (
        "CA",
        9,
    )  # counted before redaction, as in training
    for line in (first, second):
        check_line(line, schema=complaints.schema)
    assert "perennial_rejected_rows_total 1.0" in ask.metrics.render().decode()


@pytest.mark.parametrize("case", REJECTED)
def test_a_row_that_is_not_a_record_is_rejected_with_a_reason_without_personal_data(ask, case):
    row, named = REJECTED[case]
    answer = ask({"raw": [row]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == []
    (rejected,) = answer.json()["rejected"]
    assert rejected["row"] == 0 and named in rejected["reason"]
    assert "me@x.org" not in answer.text
    assert ask.lines() == []


UNREADABLE = {
    "a required column is missing": [{"State": "CA"}],
    "a column twice": [{**ROW, "state ": "CA"}],
    "no rows": [],
    "a row without columns": [{}],
    "not rows": ["a,b,c"],
    "not a list": ROW,
    "too many rows": [ROW] * 300,
    "null byte in a column name": [{**ROW, "a\0b": 1}],
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_rows_whose_columns_cannot_be_read_are_422(make_set, case):
    made = make_set()
    with TestClient(made.app, headers=AUTHORIZED) as client:
        answer = client.post("/predict", json={"raw": UNREADABLE[case]})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert len(answer.text) < 10_000
    assert made.lines() == []


@pytest.mark.parametrize("cell", [5, 1.5, True, [1], {"a": 1}, "\x00", "x" * 10_000])
def test_a_cell_of_any_json_type_is_read_as_ingest_reads_it(ask, cell):
    answer = ask({"raw": [{**ROW, "State": cell}]})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == 1


def test_half_a_surrogate_pair_is_replaced_as_in_ingest(make_set):
    row = {**ROW, "Consumer complaint narrative": "my card \ud800"}
    made = make_set()
    body = json.dumps({"raw": [row]}).encode()
    with TestClient(made.app, headers=AUTHORIZED) as client:
        answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert len(made.lines()) == 1


def test_raw_rows_and_records_of_one_batch_keep_their_order(make_set, complaints):
    made = make_set()
    convert = RowConverter(complaints, max_text_chars=1000)
    converted = convert([ROW, {**ROW, "Complaint ID": "18"}], latest=datetime.now(UTC)).records
    live = [
        LiveRecord({"id": name, "text": "my card", "received_at": datetime.now(UTC), "state": None, "company": None})
        for name in ("a", "b")
    ]
    answers = made.answer([live[0], converted[0], live[1], converted[1]])
    assert [answer["id"] for answer in answers] == ["a", "17", "b", "18"]
    assert [line["features"]["category.state"] for line in made.lines()] == [None, "CA", None, "CA"]


def test_the_columns_of_a_request_are_read_together_and_the_error_names_the_missing_one(complaints):
    convert = RowConverter(complaints, max_text_chars=1000)
    row = {name: value for name, value in ROW.items() if name != "Complaint ID"}
    with pytest.raises(InputError, match="complaint_id"):
        convert([row], latest=datetime.now(UTC) + timedelta(hours=1))
