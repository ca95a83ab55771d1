"""A service around a small fake model: everything is real but the weights."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.live.serve.answering import Answerer
from pipelines.live.serve.app import create_app
from pipelines.live.serve.commands import utc_now
from pipelines.live.serve.endpoint import Backend
from pipelines.live.serve.journal import Journal
from pipelines.live.serve.metrics import Metrics
from pipelines.live.serve.models import Loaded, Pair
from pipelines.live.serve.raw_rows import RowConverter
from pipelines.models.manifest import Manifest

PATIENCE_S = 120  # of every wait: a busy machine is slow
TOKEN = "a-token-for-tests"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


class FakePredictor:
    """Answers by a hash of the text; can be slow, broken, or wait for an event before each batch."""

    def __init__(self, labels, *, seconds=0.0, fail=lambda records: False, go=None):
        self.labels, self.seconds, self.fail, self.go = tuple(labels), seconds, fail, go
        self.seen: list[int] = []
        self.manifest = Manifest.model_construct(labels=self.labels, features=())

    def predict(self, records):
        if self.seconds:
            time.sleep(self.seconds)
        if self.go is not None:
            assert self.go.wait(PATIENCE_S)
        if self.fail(records):
            raise RuntimeError("the fake model fails")
        self.seen.append(len(records))
        places = [int(hashlib.sha256(text.encode()).hexdigest(), 16) % len(self.labels) for text in records["text"]]
        return pd.DataFrame(
            {
                "id": records["id"].astype("string"),
                "label": pd.Series([self.labels[place] for place in places], dtype="string"),
                "confidence": np.full(len(records), 0.8),
            }
        )


class FixedModels:
    """Replaces `Models`; a test exchanges the pair."""

    def __init__(self, champion, challenger=None):
        self.pair = Pair(champion, challenger)
        self.ready = True


class Set:
    """An app and its parts."""

    def __init__(self, folder: Path, *, domain, params, champion=None, challenger=None):
        self.metrics = Metrics()
        self.journal = Journal(folder / "journal", max_segment_bytes=1 << 20, fsync_seconds=1.0)
        self.champion = champion or FakePredictor(domain.schema.labels)
        self.models = FixedModels(Loaded(1, self.champion), Loaded(2, challenger) if challenger else None)
        self.share = params.canary.share
        self.answer = Answerer(
            self.models,
            domain=domain,
            journal=self.journal,
            metrics=self.metrics,
            params=params.canary,
            canary_share=lambda: self.share,
            clock=utc_now,
        )
        convert = RowConverter(domain, max_text_chars=params.max_text_chars)
        self.app = create_app(
            Backend(
                answer=self.answer.begin,
                convert=convert,
                ready=lambda: self.models.ready,
                stop=self.stop,
                problem=lambda: None if self.journal.writable else "the log of answers cannot be written",
            ),
            schema=domain.schema,
            params=params,
            metrics=self.metrics,
            token=TOKEN,
            clock=utc_now,
        )

    def stop(self) -> None:
        self.answer.close()
        self.journal.close()

    def lines(self) -> list[dict]:
        files = sorted(self.journal.folder.glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


class Running:
    """An app behind uvicorn on a free port of the loopback interface, in a thread."""

    def __init__(self, app, *, params=None):
        import uvicorn

        from pipelines.live.serve.protocol import limited_protocol

        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="error",
                timeout_graceful_shutdown=10,
                http=limited_protocol(params) if params else "auto",
                ws="none",
            )
        )
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listening]}, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)

    def stop(self):
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)


def post(url: str, body, *, token=TOKEN, timeout=30.0) -> tuple[int, dict]:
    """Status and JSON of one POST to /predict."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url}/predict", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def until(true, *, seconds=PATIENCE_S):
    """Wait for what must become true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)


class Load:
    """Threads that keep posting records with unique ids, and what came back."""

    def __init__(self, url: str, *, clients: int):
        self.url, self.answers, self.failures = url, [], []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, number):
        count = 0
        while not self._stop.is_set():
            count += 1
            name = f"client-{number}-{count}"
            try:
                status, answer = post(self.url, {"id": name, "text": f"my card was charged twice {name}"})
            except OSError as error:
                self.failures.append((name, repr(error)))
                if self._stop.wait(0.05):
                    return
                continue
            if status == 200:
                self.answers.append(answer["predictions"][0])
            else:
                self.failures.append((name, status, answer))

    def answered_by(self, version):
        """Wait until an answer comes from a version that was requested after this call."""
        seen = len(self.answers)
        until(lambda: any(answer["model_version"] == version for answer in self.answers[seen:]))

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def kill(process: subprocess.Popen) -> None:
    """End a process that a test started."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait(20)


def line(number, **changed):
    """Return a valid line of the prediction log, with changed fields."""
    return {
        "schema_version": 2,
        "request_id": f"q{number}",
        "record_id": f"r{number}",
        "received_at": f"2026-01-{5 + number % 3:02d}T10:00:00.000001+00:00",
        "served_at": "2026-01-05T10:00:01+00:00",
        "model_version": 3,
        "role": "champion",
        "label": "mortgage",
        "confidence": 0.75,
        "text_length": 12,
        "features": {
            "category.state": "CA",
            "category.channel": None,
            "category.company": None,
            "number.n_words": 3.0,
            "number.amount": None,
        },
        **changed,
    }


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
