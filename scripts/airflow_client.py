"""A client of Airflow's REST API, for scripts and tests."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # for the loopback interface: never by a proxy


class Client:
    """A client of the REST API."""

    def __init__(self, address: str, *, user: str, password: str) -> None:
        self.address = address
        self.token = ""
        self.token = self.call("POST", "/auth/token", {"username": user, "password": password})["access_token"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return the decoded answer; RuntimeError with the answer's text when it is refused."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.address + path, data=data, headers=headers, method=method)
        # A busy machine answers late, and a read may be repeated. 503 means that the scheduler had locked SQLite and
        # nothing was done: any request may be repeated.
        for left in reversed(range(10)):
            try:
                with DIRECT.open(request, timeout=60) as answer:
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                if error.code != 503 or not left:
                    body = error.read().decode(errors="replace")
                    raise RuntimeError(f"{method} {path}: {error.code} {body}") from None
            except OSError:
                if method != "GET" or left < 8:
                    raise
            time.sleep(0.5)
        return None

    def trigger(self, dag: str, conf: dict[str, Any] | None = None, *, run_id: str | None = None) -> str:
        """Start a run and return its id."""
        body: dict[str, Any] = {"conf": conf or {}, "logical_date": None}
        if run_id:
            body["dag_run_id"] = run_id
        return str(self.call("POST", f"/api/v2/dags/{dag}/dagRuns", body)["dag_run_id"])

    def states(self, dag: str, run_id: str) -> dict[str, str]:
        """Return the state of each task of a run."""
        found = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances?limit=200")["task_instances"]
        return {item["task_id"]: item["state"] for item in found}

    def why(self, dag: str, run_id: str) -> str:
        """Return the state of each task of a run, and the end of the log of every try of the failed ones."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances"
        parts = [str(self.states(dag, run_id))]
        for task in self.call("GET", f"{path}?limit=200")["task_instances"]:
            for number in range(1, task["try_number"] + 1) if task["state"] == "failed" else ():
                lines = self.call("GET", f"{path}/{task['task_id']}/logs/{number}?full_content=true")["content"]
                events = [str(line.get("event") if isinstance(line, dict) else line) for line in lines]
                details = [
                    str(line["error_detail"]) for line in lines if isinstance(line, dict) and "error_detail" in line
                ]
                parts += [f"{task['task_id']}, try {number}:", *events[-25:], *details[-2:]]
        return "\n".join(parts)

    def wait(self, dag: str, run_id: str, *, seconds: float) -> str:
        """Wait for a run's end and return its state."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            state = str(self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run_id}")["state"])
            if state in {"success", "failed"}:
                return state
            time.sleep(0.5)
        raise TimeoutError(f"{dag} {run_id} did not end in {seconds:.0f} s: {self.states(dag, run_id)}")

    def dag_ids(self) -> list[str]:
        """Return the ids of all DAGs."""
        return sorted(dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?limit=100")["dags"])

    def import_errors(self, files: set[str], *, seconds: float = 120) -> dict[str, str]:
        """Wait until every file has a DAG or an import error; return the last line of each error, by file.

        A file with neither after that time (its DAG may be made by a condition) is returned as one that defines none.
        """
        until, read = time.monotonic() + seconds, set[str]()
        errors: dict[str, str] = {}
        while time.monotonic() < until and not files <= read:
            found = self.call("GET", "/api/v2/importErrors")["import_errors"]
            errors = {Path(item["filename"]).name: item["stack_trace"].strip().splitlines()[-1] for item in found}
            dags = self.call("GET", "/api/v2/dags?limit=100")["dags"]
            read = set(errors) | {Path(dag["relative_fileloc"] or "").name for dag in dags}
            time.sleep(0.5)
        return errors | dict.fromkeys(files - read, f"no DAG was found in {seconds:.0f} s")

    def dags(self, expected: set[str], *, seconds: float = 120) -> None:
        """Wait until the named DAGs exist; RuntimeError when a DAG file has an import error."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            errors = self.call("GET", "/api/v2/importErrors")["import_errors"]
            if errors:
                raise RuntimeError("\n".join(f"{error['filename']}: {error['stack_trace']}" for error in errors))
            if expected <= {dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?limit=100")["dags"]}:
                return
            time.sleep(0.5)
        raise TimeoutError(f"not all of {sorted(expected)} were found in {seconds:.0f} s")
