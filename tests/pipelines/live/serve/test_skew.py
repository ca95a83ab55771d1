"""Training and serving see the same: one raw row gives one record, byte for byte, through ingest and the service."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from pipelines.live.serve.raw_rows import RowConverter
from pipelines.records.conversion import to_live_records
from pipelines.records.domain import Domain
from pipelines.records.raw import table_of_rows
from pipelines.records.validation import Origin
from pipelines.runtime.project import Project
from pipelines.stages.ingest.batches import Batch, convert_batch
from tests.factories.raw_rows import END, START, by_columns, comment_rows, complaint_rows
from tests.factories.service import AUTHORIZED, FakePredictor

ROWS, REQUEST_ROWS, MAX_CHARS = 500, 32, 20_000
LATEST = datetime(2025, 3, 3, tzinfo=UTC)
pytestmark = pytest.mark.slow


class Recorder(FakePredictor):
    """Keeps the frames that it is given."""

    def predict(self, records):
        self.frames = [*getattr(self, "frames", []), records]
        return super().predict(records)


@pytest.fixture(params=["complaints", "youtube_spam"])
def domain_rows(request, repository, complaints):
    if request.param == "youtube_spam":
        return Domain(repository / "tests" / "domains" / "youtube_spam"), comment_rows(rows=ROWS, seed=3)
    simulator = Project.open(repository).parameters.section("simulator")
    return complaints, complaint_rows(complaints, rows=ROWS, seed=3, simulator=simulator)


def ingested(domain, rows):
    """Records and reasons of each row by its number, as ingest gives them; the columns of a chunk are equal."""
    records, reasons, first = [], {}, 0
    for chunk in by_columns(rows, at_most=ROWS):
        batch = Batch(table_of_rows(chunk), Origin.of("a.jsonl", rows=len(chunk)))
        found = convert_batch(
            batch, domain=domain, start=START, end=END, max_text_chars=MAX_CHARS, keep_without_text=False
        )
        records.append(found.records)
        reasons |= {
            first + number - 1: reason for number, reason in zip(found.lost["row"], found.lost["reason"], strict=True)
        }
        first += len(chunk)
    return pd.concat(records, ignore_index=True), reasons


def served(domain, rows):
    """The same through the service's conversion, in requests of a few rows."""
    convert, records, reasons, first = RowConverter(domain, max_text_chars=MAX_CHARS), [], {}, 0
    for request in by_columns(rows, at_most=REQUEST_ROWS):
        frame, _, rejected = convert.convert(request, latest=LATEST)
        records.append(frame)
        reasons |= {first + row: reason for row, reason in rejected.items()}
        first += len(request)
    return pd.concat(records, ignore_index=True), reasons


def arrow_bytes(frame):
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None).combine_chunks()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def test_raw_rows_give_the_same_record_bytes_and_reasons_in_ingest_and_in_the_service(domain_rows):
    domain, rows = domain_rows
    trained, quarantined = ingested(domain, rows)
    live, rejected = served(domain, rows)
    assert len(rows) == ROWS and len(trained) + len(quarantined) == ROWS
    assert len(trained) > ROWS / 2 and len(quarantined) > 20
    pd.testing.assert_frame_equal(trained, live)
    assert arrow_bytes(trained) == arrow_bytes(live)
    assert quarantined == rejected


@pytest.mark.enable_socket
@pytest.mark.server
def test_the_model_gets_the_records_of_training_from_raw_rows_and_from_records(domain_rows, make_set):
    domain, rows = domain_rows
    rows = next(by_columns(rows[45:], at_most=REQUEST_ROWS))
    trained, _ = ingested(domain, rows)
    names = ["id", "text", *(feature.name for feature in domain.schema.features)]
    model = Recorder(domain.schema.labels)
    app = make_set(champion=model, domain=domain, parameters={"max_text_chars": MAX_CHARS}).app
    with TestClient(app, headers=AUTHORIZED) as client:
        answer = client.post("/predict", json={"raw": rows})
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    assert [item["id"] for item in predictions] == trained["id"].tolist()
    assert len(predictions) + len(answer.json()["rejected"]) == len(rows)
    (frame,) = model.frames
    pd.testing.assert_frame_equal(frame[names], trained[names], check_dtype=False)
    assert [item["label"] for item in predictions] == model.predict(trained)["label"].tolist()


def test_records_sent_with_their_original_text_become_those_of_training(complaints, repository):
    simulator = Project.open(repository).parameters.section("simulator")
    rows = complaint_rows(complaints, rows=39, seed=5, simulator=simulator)  # plain headers only
    trained, _ = ingested(complaints, rows)
    texts = {str(row["Complaint ID"]).strip(): row["Consumer complaint narrative"] for row in rows}
    derived = set(complaints.derive(trained))
    names = [feature.name for feature in complaints.schema.features]
    sent = trained[["id", "received_at", *(name for name in names if name not in derived)]].assign(
        text=trained["id"].map(texts)
    )
    live = to_live_records(sent, domain=complaints)
    pd.testing.assert_frame_equal(live[["id", "text", *names]], trained[["id", "text", *names]], check_dtype=False)
