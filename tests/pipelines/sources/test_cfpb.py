"""The complaint API as documented, and as implemented, on the loopback: errors are retried or reported."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from pipelines.runtime.errors import InputError
from pipelines.sources.cfpb import CfpbSource
from pipelines.sources.http import Client, Pace

pytestmark = [pytest.mark.enable_socket, pytest.mark.server]
START = date(2024, 3, 1)


def complaint(number: int, day: date, **more: Any) -> dict[str, Any]:
    source = {
        "complaint_id": str(number), "date_received": f"{day}T12:00:00-05:00", "product": "Mortgage",
        "complaint_what_happened": f"story {number}", "company": "ACME", "state": "NY", "has_narrative": True,
        "tags": None, "timely": "Yes", **more,
    }  # fmt: skip
    stamp = int(time.mktime(day.timetuple())) * 1000
    return {"_index": "c", "_id": str(number), "_score": None, "_source": source, "sort": [stamp, str(number)]}


class Service(http.server.ThreadingHTTPServer):
    """Answers like the API; `trouble` is a list of what the next answers do wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.complaints: list[dict[str, Any]] = []
        self.trouble: list[str] = []
        self.asked: list[dict[str, str]] = []
        self.agents: list[str] = []
        self.inclusive = True
        self.ignores_search_after = False
        self.break_points = True
        self.retry_after: str | None = None
        self.holds_at = -1  # the request with this number, and one that is "slow", is not answered until `go_on`
        self.held, self.go_on = threading.Event(), threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/v1/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Service

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        service = self.server
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.path).query))
        service.asked.append(query)
        service.agents.append(self.headers["User-Agent"])
        trouble = service.trouble.pop(0) if service.trouble else ""
        if trouble.isdigit():
            return self.answer(int(trouble), {"error": "There was an error calling OpenSearch"})
        if len(service.asked) == service.holds_at:
            service.held.set()
            service.go_on.wait()
        if trouble == "slow":
            service.go_on.wait()
        if trouble == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "10000")
            self.end_headers()
            self.wfile.write(b'{"hits": ')
            self.close_connection = True
            return None
        size, frm = int(query.get("size", 25)), int(query.get("frm", 0))
        if frm % size:
            return self.answer(400, {"frm": ["frm is not zero or a multiple of size"]})
        first, last = query["date_received_min"], query["date_received_max"]
        hits = sorted(
            (
                hit for hit in service.complaints
                if first <= (day := hit["_source"]["date_received"][:10])
                and (day <= last if service.inclusive else day < last)
            ),
            key=lambda hit: hit["sort"],
        )  # fmt: skip
        if query.get("format") == "json":
            return self.answer(200, hits)
        after, place = query.get("search_after"), 0
        if after and not service.ignores_search_after and trouble != "repeat":
            keys = [f"{hit['sort'][0]}_{hit['sort'][1]}" for hit in hits]
            place = keys.index(after) + 1 if after in keys else 0
        points = {str(n + 1): hits[n * size - 1]["sort"] for n in range(1, (len(hits) - 1) // size + 1)}
        total = service.complaints and len(hits)
        if trouble == "short":
            hits = hits[: len(hits) // 2]
        return self.answer(
            200,
            {
                "hits": {"total": {"value": total or 0, "relation": "eq"}, "hits": hits[place : place + size]},
                "_meta": {"break_points": points if service.break_points else {}},
            },
        )

    def answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status != 200 and self.server.retry_after:
                self.send_header("Retry-After", self.server.retry_after)
            self.end_headers()
            self.wfile.write(body)
        except BrokenPipeError:
            self.close_connection = True


@pytest.fixture
def service() -> Iterator[Service]:
    server = Service()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def source(service, tmp_path) -> CfpbSource:
    paces = {kind: Pace(10_000, seconds=60.0) for kind in ("search", "export")}
    client = Client(service.address, attempts=3, backoff_seconds=0.0, timeout_seconds=60.0, paces=paces)
    return CfpbSource(client=client, page_rows=10, attempts=3, cache=tmp_path / "cache")


def fill(service: Service, *counts: int) -> None:
    number = 1000
    for offset, count in enumerate(counts):
        for _ in range(count):
            service.complaints.append(complaint(number, START + timedelta(days=offset)))
            number += 1


def ids(source: CfpbSource, days: int) -> list[list[str]]:
    chunks = source.read(start=START, end=START + timedelta(days=days), chunk_rows=1000)
    return [chunk.table["complaint_id"].to_pylist() for chunk in chunks]


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("break_points", [True, False])
def test_days_come_whole_and_no_complaint_twice(service, source, inclusive, break_points) -> None:
    fill(service, 35, 0, 7, 10)
    service.inclusive, service.break_points = inclusive, break_points
    found = ids(source, 4)
    assert [len(day) for day in found] == [35, 0, 7, 10]
    assert sorted([key for day in found for key in day]) == sorted(hit["_id"] for hit in service.complaints)
    assert all("perennial" in agent for agent in service.agents)


@pytest.mark.parametrize("trouble", ["424", "500", "429", "slow", "cut", "repeat", "short"])
def test_passing_errors_are_retried(service, source, trouble) -> None:
    fill(service, 25)
    service.trouble = ["", trouble]
    if trouble == "slow":
        source = replace(source, client=replace(source.client, timeout_seconds=1.0))
    assert len(ids(source, 1)[0]) == 25


def test_a_refusal_is_reported_and_not_retried(service, source) -> None:
    service.trouble = ["400"]
    with pytest.raises(InputError, match=r"refused.*HTTP 400"):
        ids(source, 1)
    assert len(service.asked) == 1


def test_lasting_errors_are_reported_after_the_last_try(service, source) -> None:
    service.trouble = ["500"] * 9
    with pytest.raises(InputError, match="in 3 tries: HTTP 500"):
        ids(source, 1)
    assert len(service.asked) == 3


def test_a_search_after_that_is_ignored_never_passes_for_data(service, source) -> None:
    fill(service, 25)
    service.ignores_search_after = True
    with pytest.raises(InputError, match="2024-03-01 could not be read completely: page 2 holds only complaints"):
        ids(source, 1)


def test_finished_days_are_not_asked_for_again(service, source) -> None:
    fill(service, 5, 5, 5)
    service.trouble = ["", "", "500", "500", "500"]
    with pytest.raises(InputError):
        ids(source, 3)
    asked = len(service.asked)
    first = ids(source, 3)
    (_, count, *rows) = service.asked[asked:]
    assert (count["size"], count["date_received_min"], count["date_received_max"]) == ("1", "2024-03-01", "2024-03-02")
    assert {query["date_received_min"] for query in rows} == {"2024-03-03"}
    asked = len(service.asked)
    assert ids(source, 3) == first and [query["size"] for query in service.asked[asked:]] == ["1", "1"]
    service.complaints.clear()
    assert ids(replace(source, replays=True), 3) == first


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("change", ["added", "added to an empty day", "removed", "all removed"])
def test_a_kept_day_is_read_again_when_the_service_states_another_number(service, source, inclusive, change) -> None:
    service.inclusive = inclusive
    fill(service, 12, 3, 0, 5, 8, 2)
    ids(source, 6)
    if change.startswith("added"):
        service.complaints.append(complaint(7, START + timedelta(days=2 if "empty" in change else 3)))
    else:
        gone = {"2024-03-04"} if change == "all removed" else set()
        rest = [hit for hit in service.complaints if hit["_source"]["date_received"][:10] not in gone]
        service.complaints[:] = rest if gone else rest[:-1]
    asked = len(service.asked)
    found = ids(source, 6)
    assert sorted(key for day in found for key in day) == sorted(hit["_id"] for hit in service.complaints)
    assert len(list(source.cache.iterdir())) == 6
    read = {query["date_received_min"] for query in service.asked[asked:] if query["size"] != "1"}
    assert len(read) == 1


def test_the_window_is_identified_by_its_number_of_complaints(service, source) -> None:
    fill(service, 3, 2)
    window = {"start": START, "end": START + timedelta(days=2)}
    first = source.fingerprint(**window)
    assert first == source.fingerprint(**window) == {"rows": 5, "relation": "eq"}
    fill(service, 1)
    assert source.fingerprint(**window)["rows"] == 6
    service.trouble[:] = ["404"]
    with pytest.raises(InputError):
        source.fingerprint(**window)


def test_a_damaged_day_is_read_again(service, source, tmp_path) -> None:
    fill(service, 5)
    ids(source, 1)
    file = next((tmp_path / "cache").iterdir())
    file.write_bytes(file.read_bytes()[:-9])
    asked = len(service.asked)
    assert len(ids(source, 1)[0]) == 5 and [query["size"] for query in service.asked[asked:]] == ["1", "1", "10"]


def test_a_large_day_is_exported(service, source, monkeypatch) -> None:
    monkeypatch.setattr("pipelines.sources.cfpb.MAX_PAGED", 20)
    fill(service, 25)
    assert len(ids(source, 1)[0]) == 25
    assert service.asked[-1]["format"] == "json" and len(service.asked) == 2


def test_old_fields_are_columns_only_where_they_are(service, source) -> None:
    fill(service, 1)
    service.complaints.append(complaint(5, START + timedelta(days=1), consumer_disputed="No"))
    names = [chunk.table.num_columns for chunk in source.read(start=START, end=START + timedelta(2), chunk_rows=9)]
    assert names == [16, 17]


def as_tickets(checkout, **parameters: Any) -> None:
    """The checkout's domain reads complaints, without waiting for a pace that a loopback server does not need."""
    schema = checkout.folder / "domain" / "schema.py"
    schema.write_text(
        schema.read_text().replace(
            "str(name).strip().lower())",
            '{"complaint_id": "ticket", "date_received": "day", "complaint_what_happened": "words"}.get(name, name))\n'
            '    frame["day"] = frame["day"].str.slice(0, 10)',
        )
    )
    fast = {"search_per_minute": 10_000, "export_per_minute": 10_000, "backoff_seconds": 0.0, "page_rows": 100}
    checkout.set(source="cfpb", start=START, end=START + timedelta(days=56), cfpb={**fast, **parameters})


def test_the_stage_reads_it_and_a_bumped_revision_reads_again(service, checkout, monkeypatch) -> None:
    fill(service, *[8] * 56)
    monkeypatch.setenv("PERENNIAL_CFPB_URL", service.address)
    as_tickets(checkout)
    checkout.run()
    assert len(checkout.records()) == 8 * 56
    first = checkout.bytes()
    service.complaints[0]["_source"]["complaint_what_happened"] = "the source thought again"
    checkout.run()
    assert checkout.bytes() == first
    checkout.set(revision=1)
    checkout.run()
    assert checkout.bytes()["records.parquet"] != first["records.parquet"]


@pytest.mark.slow
def test_a_stage_killed_while_it_pages_goes_on_with_the_day_it_was_at(service, checkout, repository) -> None:
    fill(service, *[40] * 56)
    as_tickets(checkout, page_rows=10)

    def start(home: str) -> subprocess.Popen[bytes]:
        mine = {"PYTHONPATH": str(repository), "PERENNIAL_CFPB_URL": service.address}
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.stages.ingest"],
            cwd=checkout.folder,
            env={**os.environ, **mine, "PERENNIAL_HOME": str(checkout.folder / home)},
        )

    assert start("whole").wait() == 0
    wanted, requests = checkout.bytes(), len(service.asked)
    service.holds_at = requests + requests // 2
    killed = start("killed")
    assert service.held.wait(120)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    service.go_on.set()
    assert start("killed").wait() == 0
    assert checkout.bytes() == wanted
    assert len(service.asked) < 2 * requests + 20  # one day twice, and what the killed one asked for after the count


def test_a_stated_wait_is_kept(service, tmp_path) -> None:
    fill(service, 3)
    service.trouble, service.retry_after = ["429"], "7"
    waits: list[float] = []
    paces = {kind: Pace(10_000, seconds=60.0) for kind in ("search", "export")}
    client = Client(
        service.address, attempts=3, backoff_seconds=0.5, timeout_seconds=5, paces=paces, sleep=waits.append
    )
    assert len(ids(CfpbSource(client=client, page_rows=10, attempts=3, cache=tmp_path / "cache"), 1)[0]) == 3
    assert waits == [7.0]


def test_the_pace_allows_so_many_calls_in_any_stretch() -> None:
    now, calls = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(20, seconds=60.0, clock=lambda: now[0], sleep=sleep)
    for _ in range(100):
        pace.wait()
        calls.append(now[0])
        now[0] += 0.5
    assert all(sum(moment <= other < moment + 60.0 for other in calls) <= 20 for moment in calls)
    assert calls[-1] < 60 * 5
