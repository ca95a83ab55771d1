"""One conversion: raw rows through the stage ingest, a window that scoring reads, and the service are one record."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from pipelines.live.serve.raw_rows import RowConverter
from pipelines.records.conversion import REJECTED, to_live_records, to_records
from pipelines.records.domain import Domain
from pipelines.records.raw import table_of_rows
from pipelines.runtime.errors import InputError
from pipelines.runtime.project import Project
from pipelines.stages.ingest.__main__ import main as ingest
from pipelines.stages.ingest.spool import record_types
from pipelines.stages.ingest.window import read_window
from tests.factories.raw_rows import END, START, by_columns, comment_rows, complaint_rows

ROWS, MAX_CHARS, LATEST = 500, 20_000, datetime(2025, 3, 3, tzinfo=UTC)
GOOD = {
    "Complaint ID": "7",
    "Date received": "2025-01-08",
    "Product": "Mortgage",
    "Consumer complaint narrative": "caf\u0065\u0301 took {$1,240.50}\r\nfrom me@x.org \x07",
}


@pytest.fixture(params=["pipelines/domains/complaints", "tests/domains/youtube_spam"])
def project_and_rows(request, repository: Path, tmp_path: Path):
    """A project whose source are files of 500 raw rows, one file for each run of rows with equal columns."""
    domain = Domain(repository / request.param)
    rows = (
        comment_rows(rows=ROWS, seed=3)
        if domain.folder.name == "youtube_spam"
        else complaint_rows(
            domain, rows=ROWS, seed=3, simulator=Project.open(repository).parameters.section("simulator")
        )
    )
    (tmp_path / "in").mkdir()
    for number, chunk in enumerate(by_columns(rows, at_most=ROWS)):
        lines = "".join(json.dumps(row) + "\n" for row in chunk)
        (tmp_path / "in" / f"{number:04d}.jsonl").write_text(lines)
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["domain"] = str(domain.folder)
    params["ingest"] |= {"source": "files", "start": START.isoformat(), "end": END.isoformat()}
    params["ingest"] |= {"files": {"paths": ["in/*.jsonl"], "encoding": "utf-8"}, "max_text_chars": MAX_CHARS}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "last_good.json").write_text("{}")
    return Project.open(tmp_path, environment={"PERENNIAL_HOME": str(tmp_path / "home")}), rows


def arrow_bytes(records: pd.DataFrame, *, domain: Domain) -> bytes:
    """Return records in canonical order, with the types of `records.parquet`, as an Arrow stream."""
    ordered = records.sort_values(["received_at", "id"], ignore_index=True)
    table = pa.Table.from_pandas(ordered, schema=record_types(domain.schema), preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as stream:
        stream.write_table(table.replace_schema_metadata(None))
    return sink.getvalue().to_pybytes()


@pytest.mark.slow
def test_one_raw_row_is_one_record_in_training_scoring_and_serving(project_and_rows) -> None:
    project, rows = project_and_rows
    ingest(project)
    trained = project.store.read_records("ingest")
    scored, _ = read_window(project, start=START, end=END)
    domain, served = Domain(project.domain_folder), []
    convert = RowConverter(domain, max_text_chars=MAX_CHARS)
    for request in by_columns(rows, at_most=32):
        served.append(convert.convert(request, latest=LATEST)[0])
    assert ROWS / 2 < len(trained) < ROWS
    frames = (trained, scored, pd.concat(served, ignore_index=True))
    assert len({arrow_bytes(frame, domain=domain) for frame in frames}) == 1


@pytest.fixture
def complaints(repository: Path) -> Domain:
    return Domain(repository / "pipelines" / "domains" / "complaints")


def test_a_row_is_cleaned_counted_and_then_redacted(complaints: Domain) -> None:
    converted = to_records(table_of_rows([GOOD]), domain=complaints)
    record = converted.records.iloc[0]
    assert record["text"] == "caf\u00e9 took {$1,240.50}\nfrom [EMAIL]"
    assert (record["n_words"], record["amount"], record["gold"]) == (5.0, 1240.5, "mortgage")
    assert converted.redactions["email"] == 1 and converted.places.tolist() == [0]


def test_rejected_rows_have_reasons_by_position(complaints: Domain) -> None:
    rows = [
        {**GOOD, "Complaint ID": None},
        GOOD,
        {**GOOD, "Date received": "yesterday"},
        {**GOOD, "Consumer complaint narrative": "x" * 200},
    ]
    converted = to_records(table_of_rows(rows), domain=complaints, max_text_chars=100)
    assert converted.places.tolist() == [1] and sorted(converted.rejected) == [0, 2, 3]
    assert converted.left_out["outcome"].to_dict() == {3: REJECTED}


def test_only_accepted_records_are_redacted(complaints: Domain) -> None:
    def outcomes(records: pd.DataFrame, reasons: np.ndarray) -> np.ndarray:
        return np.where(records["id"] == "8", "elsewhere", "accepted")

    rows = [GOOD, {**GOOD, "Complaint ID": "8"}]
    converted = to_records(table_of_rows(rows), domain=complaints, outcomes=outcomes)
    assert converted.redactions["email"] == 1
    assert converted.left_out[["id", "outcome"]].to_dict("index") == {1: {"id": "8", "outcome": "elsewhere"}}
    assert not converted.rejected


def test_a_frame_and_a_table_of_the_same_cells_give_the_same_records(complaints: Domain) -> None:
    rows = [GOOD, {**GOOD, "Complaint ID": "8", "State": "TX"}]
    by_table = to_records(table_of_rows(rows), domain=complaints).records
    by_frame = to_records(pd.DataFrame(rows), domain=complaints).records
    pd.testing.assert_frame_equal(by_table, by_frame)


def test_a_missing_column_is_an_input_error(complaints: Domain) -> None:
    with pytest.raises(InputError, match="narrative"):
        to_records(
            table_of_rows([{"Complaint ID": "1", "Date received": "2025-01-08", "Product": "Mortgage"}]),
            domain=complaints,
        )


def test_live_records_get_the_text_and_the_derived_features_of_raw_rows(complaints: Domain) -> None:
    trained = to_records(table_of_rows([GOOD]), domain=complaints).records
    live = to_live_records(
        pd.DataFrame({"id": ["7"], "text": [GOOD["Consumer complaint narrative"]]}), domain=complaints
    )
    for name in ("text", "n_words", "amount"):
        assert live[name].tolist() == trained[name].tolist()
    assert live["state"].isna().all()
