"""SQL on SQLite and on a real PostgreSQL give the records that the same rows give as a file."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.runtime.errors import InputError
from pipelines.sources.accounting import Ledger
from pipelines.sources.sql import SqlSource, _countable
from pipelines.stages.ingest.checks import check_accounting
from tests.factories.tickets import END, START, tickets

QUERY = (
    "select ticket, day, words, channel, price, label, senior from tickets "
    "where day >= :start and day < :end order by ticket"
)


def sqlite_of(path: Path) -> str:
    rows = tickets()
    with sqlite3.connect(path) as connection:
        connection.execute(f"create table tickets ({', '.join(rows[0])})")
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"insert into tickets values ({marks})", [tuple(row.values()) for row in rows])
    connection.close()
    return f"sqlite:///{path}"


def test_a_query_gives_the_records_of_the_same_file(checkout, tmp_path, monkeypatch) -> None:
    checkout.csv(tickets())
    checkout.run()
    wanted = checkout.bytes()["records.parquet"]
    monkeypatch.setenv("PERENNIAL_SQL_URL", sqlite_of(tmp_path / "tickets.db"))
    checkout.set(source="sql", sql={"query": QUERY}, chunk_rows=100)
    checkout.run()
    assert checkout.bytes()["records.parquet"] == wanted
    assert tmp_path.as_posix() not in Path("params.yaml").read_text()


def test_the_window_bounds_the_query(checkout, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PERENNIAL_SQL_URL", sqlite_of(tmp_path / "tickets.db"))
    checkout.set(source="sql", sql={"query": QUERY}, start="2024-01-08", end="2024-01-15")
    checkout.run()
    assert checkout.metrics()["rows"]["read"] == 70 == checkout.metrics()["rows"]["accepted"]


def test_no_address_a_wrong_one_and_a_wrong_query_are_input_errors(checkout, tmp_path, monkeypatch) -> None:
    checkout.set(source="sql", sql={"query": QUERY})
    monkeypatch.delenv("PERENNIAL_SQL_URL", raising=False)
    with pytest.raises(InputError, match=r"environment variable PERENNIAL_SQL_URL .* is not set"):
        checkout.run()
    monkeypatch.setenv("PERENNIAL_SQL_URL", "nonsense://me:secret@host/db")
    with pytest.raises(InputError, match="not usable") as caught:
        checkout.run()
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("PERENNIAL_SQL_URL", sqlite_of(tmp_path / "tickets.db"))
    checkout.set(sql={"query": QUERY.replace("words", "wrods")})
    with pytest.raises(InputError, match=r"ingest\.sql\.query failed: no such column: wrods"):
        checkout.run()


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a PostgreSQL server of this test alone, run as somebody other than root."""
    found = [shutil.which(name) for name in ("initdb", "pg_ctl")]
    if not all(found):
        pytest.skip("PostgreSQL: initdb and pg_ctl are not on PATH")
    as_user: list[str] = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("PostgreSQL does not run as root, and there is no setpriv to become somebody else")
        as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="perennial-postgres-"))
    if as_user:
        os.chown(folder, 65534, 65534)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, environment = folder / "data", {**os.environ, "LC_ALL": "C", "HOME": str(folder)}

    def call(*command: str) -> None:
        done = subprocess.run(
            [*as_user, *command],
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            pytest.skip(f"PostgreSQL did not start here: {done.stderr.strip()[-300:]}")

    try:
        call(str(found[0]), "-D", str(data), "-U", "tester", "-A", "trust", "-E", "UTF8")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        call(str(found[1]), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(
                [*as_user, str(found[1]), "-D", str(data), "-m", "immediate", "stop"],
                env=environment,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                check=False,
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.postgres
@pytest.mark.server
@pytest.mark.slow
@pytest.mark.enable_socket
def test_postgresql_gives_the_records_of_the_same_file(checkout, postgres, monkeypatch) -> None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    checkout.csv(tickets())
    checkout.run()
    wanted = checkout.bytes()["records.parquet"]
    engine = create_engine(postgres, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(
            text(
                "create table tickets (ticket text, day date, words text, channel text, price numeric, "
                "label text, senior text, noted_at timestamptz default now())"
            )
        )
        names = list(tickets()[0])
        values = ", ".join(f":{name}" for name in names)
        connection.execute(text(f"insert into tickets ({', '.join(names)}) values ({values})"), tickets())
    monkeypatch.setenv("PERENNIAL_SQL_URL", postgres)
    checkout.set(source="sql", sql={"query": QUERY}, chunk_rows=100)
    checkout.run()
    assert checkout.bytes()["records.parquet"] == wanted
    checkout.set(sql={"query": QUERY.replace("words", "wrods")})
    with pytest.raises(InputError, match=r'query failed: column "wrods" does not exist'):
        checkout.run()


def test_rows_are_counted_without_the_order_where_a_server_refuses_it_there() -> None:
    ordered = "SELECT a FROM (SELECT a FROM b ORDER BY c) d WHERE e >= :start ORDER BY a;"
    assert _countable(ordered) == [ordered[:-1], "SELECT a FROM (SELECT a FROM b ORDER BY c) d WHERE e >= :start "]
    for limited in ("SELECT a FROM b ORDER BY a LIMIT 5", "SELECT a FROM (SELECT a FROM b ORDER BY a) c"):
        assert _countable(limited) == [limited], "without the order the rows would be others"


@pytest.mark.parametrize("end", ["", ";", " -- newest last", ";  -- newest last", " ; -- of\n-- the CRM\n"])
def test_a_query_is_counted_and_identified_whatever_it_ends_with(tmp_path, end) -> None:
    source = SqlSource(address=sqlite_of(tmp_path / "tickets.db"), query=QUERY + end)
    assert sum(chunk.table.num_rows for chunk in source.read(start=START, end=END, chunk_rows=100)) == 560
    assert source.ledger.of("sql").stated == 560 and not source.ledger.not_counted
    assert source.fingerprint(start=START, end=END, version_column="day") == {"rows": 560, "version": "2024-02-25"}


def test_a_source_that_did_not_count_its_rows_leaves_conservation_undecided() -> None:
    ledger = Ledger()
    account = ledger.of("sql")
    account.stated = account.rows = 5
    outcomes = {"read": 5, "accepted": 5}
    assert check_accounting(ledger, outcomes=outcomes, lost=0.1, long=0.1)[0].outcome == "passed"
    account.not_counted = "no such function: COUNT"
    check = check_accounting(ledger, outcomes=outcomes, lost=0.1, long=0.1)[0]
    assert (check.outcome, check.closes) == ("undecided", False)
    account.stated = 6
    assert check_accounting(ledger, outcomes=outcomes, lost=0.1, long=0.1)[0].outcome == "failed"
