"""The fingerprint follows content and place, a source that is gone fails, a replay takes the recorded input."""

from __future__ import annotations

import json
import shutil
import sqlite3
from typing import Any

import pytest

from pipelines.runtime.errors import InputError
from pipelines.runtime.project import Project
from pipelines.runtime.runner import execute
from pipelines.stages.source.__main__ import main
from tests.factories.tickets import tickets, write_csv

ALL = "select * from tickets where day >= :start and day < :end order by ticket"


def identify(checkout) -> dict[str, Any]:
    main(Project.open())
    return json.loads((checkout.folder / "data" / "source" / "fingerprint.json").read_text())


def database(file, rows) -> None:
    file.unlink(missing_ok=True)
    with sqlite3.connect(file) as connection:
        connection.execute(f"create table tickets ({', '.join(rows[0])})")
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"insert into tickets values ({marks})", [tuple(row.values()) for row in rows])
    connection.close()


def test_equal_files_in_another_folder_have_the_same_fingerprint(checkout, tmp_path, monkeypatch):
    checkout.csv(tickets())
    here = identify(checkout)
    shutil.copytree(checkout.folder / "in", tmp_path / "elsewhere" / "in")
    monkeypatch.setenv("PERENNIAL_DATA", str(tmp_path / "elsewhere"))
    assert identify(checkout) == here
    assert [file["name"] for file in here["files"]] == ["in/tickets.csv"]
    assert str(tmp_path) not in json.dumps(here)


@pytest.mark.parametrize("change", ["value", "name", "one more", "one less"])
def test_another_content_is_another_fingerprint(checkout, change):
    checkout.csv(tickets(100))
    checkout.csv(tickets(100), "second.csv")
    before, folder = identify(checkout), checkout.folder / "in"
    if change == "value":  # of the same length
        (folder / "second.csv").write_text((folder / "second.csv").read_text().replace("t00007", "t99997"))
    elif change == "name":
        (folder / "second.csv").rename(folder / "third.csv")
    elif change == "one more":
        checkout.csv(tickets(1), "third.csv")
    else:
        (folder / "second.csv").unlink()
    assert identify(checkout)["digest"] != before["digest"]


def test_a_file_is_read_again_only_after_a_change(checkout, monkeypatch):
    import os

    from pipelines.sources import fingerprint

    file = checkout.csv(tickets(10))
    read: list[str] = []
    digest = fingerprint.file_digest
    monkeypatch.setattr(fingerprint, "file_digest", lambda path: (read.append(path.name), digest(path))[1])
    monkeypatch.setattr(fingerprint, "RECENT_NS", -(10**15))  # as if the file had been written long ago
    first = identify(checkout)
    assert identify(checkout) == first
    assert read == ["tickets.csv"]
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    text = file.read_text()
    file.write_text(text.replace("t00007", "t99997"))
    os.utime(file, ns=times)  # equal size and time of modification; the time of change cannot be set
    assert identify(checkout) != first
    monkeypatch.setattr(fingerprint, "RECENT_NS", 10**15)  # as if every file had just been written
    identify(checkout)
    assert read == ["tickets.csv"] * 3


@pytest.mark.parametrize("gone", ["folder", "files", "database", "query"])
def test_a_source_that_cannot_be_reached_fails_and_withdraws_its_fingerprint(checkout, tmp_path, monkeypatch, gone):
    checkout.csv(tickets())
    identify(checkout)
    if gone == "folder":
        monkeypatch.setenv("PERENNIAL_DATA", str(tmp_path / "nowhere"))
    elif gone == "files":
        shutil.rmtree(checkout.folder / "in")
    else:
        monkeypatch.setenv("PERENNIAL_SQL_URL", "sqlite:///crm.db")
        checkout.set(source="sql", sql={"query": ALL})
        if gone == "query":
            database(checkout.folder / "crm.db", [{"other": 1}])
    assert execute("source", main) == 66
    assert not (checkout.folder / "data" / "source" / "fingerprint.json").exists()
    assert (checkout.folder / "crm.db").exists() == (gone == "query"), "no empty database is created"


def test_a_replay_keeps_the_recorded_input_also_after_a_failure(checkout, monkeypatch):
    checkout.csv(tickets())
    recorded = identify(checkout)
    shutil.rmtree(checkout.folder / "in")
    assert execute("source", main) == 66
    monkeypatch.setenv("PERENNIAL_REPLAY", "1")
    assert identify(checkout) == recorded == identify(checkout)
    checkout.set(source="simulated")
    assert execute("source", main) == 66, "the recorded input is of another source"


def test_a_replay_without_a_record_fails(checkout, monkeypatch):
    checkout.csv(tickets())
    monkeypatch.setenv("PERENNIAL_REPLAY", "1")
    assert execute("source", main) == 66


def test_ingest_never_reads_another_source_than_the_recorded_one(checkout, tmp_path, monkeypatch):
    checkout.csv(tickets())
    identify(checkout)
    checkout.run()
    assert checkout.metrics()["source"]["n_files"] == 1
    write_csv(tmp_path / "b" / "in" / "tickets.csv", tickets(280))
    monkeypatch.setenv("PERENNIAL_DATA", str(tmp_path / "b"))
    with pytest.raises(InputError):
        checkout.run()
    identify(checkout)
    checkout.run()
    assert checkout.metrics()["rows"]["read"] == 280


def test_a_file_that_changes_while_it_is_read_is_noticed(checkout, monkeypatch):
    from pipelines.stages.ingest import window

    checkout.csv(tickets())
    identify(checkout)
    ingest_window = window.ingest_window

    def grows(*args, **options):
        result = ingest_window(*args, **options)
        checkout.csv(tickets(570))
        return result

    monkeypatch.setattr(window, "ingest_window", grows)
    with pytest.raises(InputError):
        checkout.run()
    assert not (checkout.folder / "data" / "ingest" / "records.parquet").exists()


@pytest.mark.parametrize("version_column", [None, "day"])
def test_a_database_is_identified_by_its_rows_or_their_versions(checkout, monkeypatch, version_column):
    monkeypatch.setenv("PERENNIAL_SQL_URL", "sqlite:///crm.db")
    checkout.set(source="sql", sql={"query": ALL, "version_column": version_column})
    file = checkout.folder / "crm.db"
    rows = tickets(50)
    database(file, rows)
    first = identify(checkout)
    assert (first["address"], first["rows"]) == ("sqlite:///crm.db", 50)
    database(file, rows)
    assert identify(checkout) == first
    database(file, tickets(51))
    assert identify(checkout) != first
    changed = [{**row, "words": "other words"} for row in rows]
    database(file, changed)
    assert (identify(checkout) == first) == (version_column is not None), "without a new version nothing has changed"
    database(file, [*changed[:-1], {**changed[-1], "day": "2024-02-25"}])
    assert identify(checkout) != first


def test_no_secret_is_written(checkout, monkeypatch):
    from pipelines.sources.fingerprint import place
    from pipelines.sources.sql import SqlSource

    address = "postgresql://me:secret@host/db?options=-csearch_path%3Db&sslpassword=secret"
    shown = SqlSource(address, "q").place(checkout.folder)
    assert shown == "postgresql://me@host/db?options=-csearch_path%3Db"
    checkout.set(files={"paths": ["ftp://me:secret@host/in/*.csv", "https://host/export.csv?token=secret"]})
    assert place(Project.open())["address"] == ["ftp://host/in/*.csv", "https://host/export.csv"]
    monkeypatch.setenv("PERENNIAL_CFPB_URL", "http://me:secret@host/api/?key=secret")
    checkout.set(source="cfpb")
    assert place(Project.open())["address"] == "http://host/api/"


def test_the_simulator_is_identified_by_its_files_seed_and_parameters(checkout):
    domain = checkout.folder / "domain"
    (domain / "simulator.py").write_text("def stream(*, start, end, seed):\n    yield from ()\n")
    checkout.set(source="simulated")
    found = [identify(checkout)["digest"]]
    (domain / "simulator").mkdir()
    (domain / "simulator" / "sentences.yaml").write_text("a: b\n")
    found.append(identify(checkout)["digest"])
    checkout.params["resources"]["seed"] = 8
    checkout.set()
    found.append(identify(checkout)["digest"])
    checkout.params["simulator"] = {"rows": 1}
    checkout.set()
    found.append(identify(checkout)["digest"])
    (domain / "simulator.py").write_text("from .words import WORDS\n")
    found.append(identify(checkout)["digest"])
    (domain / "words.py").write_text("WORDS = 1\n")
    found.append(identify(checkout)["digest"])
    (domain / "labeling_functions.py").write_text("# of no interest\n")
    assert len(set(found)) == 6
    assert identify(checkout)["digest"] == found[-1]


def test_a_file_system_that_is_not_local_is_identified_by_what_it_states_else_by_content(checkout):
    import fsspec

    system = fsspec.filesystem("memory")
    system.pipe("/feed/tickets.csv", b"ticket\n1\n")
    checkout.set(files={"paths": ["memory://feed/*.csv"]})
    first = identify(checkout)
    assert identify(checkout) == first
    system.pipe("/feed/tickets.csv", b"ticket\n2\n")
    assert identify(checkout)["digest"] != first["digest"]
    system.rm("/feed", recursive=True)
    assert execute("source", main) == 66
