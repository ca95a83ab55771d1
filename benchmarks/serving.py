"""The service under a real load generator: requests per second and latency of one process.

    python -m benchmarks.serving [--seconds 15] [--url http://127.0.0.1:8000]

Without --url it starts the service with this checkout's champion, on a free port and with a log of its own, and stops
it at the end. With --url it uses a running service, whose token is in PERENNIAL_API_TOKEN. `wrk` generates the load
(Debian: apt-get install wrk). The exported network answers where its gate is open (make score-export); the table names
the network.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.out import write_section

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 300
RELEASED = "the released network"
TEXT = "They keep reporting a debt that is not mine. I sent letters and nobody answered. " * 6
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {token}"
wrk.body = [==[{body}]==]
failed = 0
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %f %f %f %f %d\\n", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def measure(url: str, *, seconds: int, clients: int, records: int, token: str) -> tuple[float, ...]:
    """Return requests per second, p50, p95 and p99 in milliseconds, and failed requests."""
    body = {"text": TEXT} if records == 1 else {"records": [{"text": f"{TEXT} {n}"} for n in range(records)]}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT.format(token=token, body=json.dumps(body)))
        script.flush()
        words = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", script.name, f"{url}/predict"]
        output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = re.search(r"RESULT (\d+) ([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) (\d+)", output)
    if found is None:
        raise SystemExit(f"unexpected output of wrk:\n{output}")
    requests, lasted, p50, p95, p99, failed = map(float, found.groups())
    return requests / lasted, p50, p95, p99, failed


@contextlib.contextmanager
def service() -> Iterator[tuple[str, str]]:
    """Yield address and token of a temporary service; its log is discarded, so that drift never sees it."""
    from pipelines.live.release.registry import CHALLENGER, CHAMPION, Registry
    from pipelines.runtime.project import Project

    project = Project.open(ROOT)
    registry = Registry.open(project)
    if registry.alias(CHAMPION) is None:
        raise SystemExit(f"{registry.model_name} has no champion yet: release one first (make demo)")
    if registry.alias(CHALLENGER) is not None:
        raise SystemExit("a canary is running: measured requests would count for it; wait until it has ended")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, url = secrets.token_urlsafe(16), f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "pipelines", "serve", "--port", str(port)]
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryDirectory() as state:
        (Path(state) / "exports").symlink_to(project.state / "exports")
        environment = {**os.environ, "PERENNIAL_API_TOKEN": token, "PERENNIAL_HOME": state}
        environment["MLFLOW_TRACKING_URI"] = project.tracking_uri
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log)
        try:
            until = time.monotonic() + PATIENCE_S
            while status(f"{url}/readyz") != 200:
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise SystemExit(f"the service did not become ready:\n{log.read()[-2000:]}")
                time.sleep(0.2)
            yield url, token
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def status(url: str) -> int | None:
    """Return the status of a GET, or None while nothing listens."""
    try:
        return int(urllib.request.urlopen(url, timeout=10).status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def which_network(url: str) -> str:
    """Return which form of the champion's network answers, from the service's metrics."""
    metrics = urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode()
    found = re.search(r'perennial_export{verdict="([0-9a-f]{12})', metrics)
    return f"the exported network (verdict {found[1]})" if found else RELEASED


def main() -> None:
    """Measure single records, then batches, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="address of a running service; default: start one")
    parser.add_argument("--seconds", type=int, default=15)
    given = parser.parse_args()
    os.chdir(ROOT)
    if shutil.which("wrk") is None:
        raise SystemExit("skipped: wrk is not installed (apt-get install wrk)")
    if given.url and not os.environ.get("PERENNIAL_API_TOKEN"):
        raise SystemExit("--url needs the service's token in PERENNIAL_API_TOKEN")
    running = contextlib.nullcontext((given.url, os.environ.get("PERENNIAL_API_TOKEN", "")))
    lines = ["| records per request | clients | requests/s | records/s | p50 ms | p95 ms | p99 ms | failed |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    all_failed = 0.0
    with running if given.url else service() as (url, token):
        network = which_network(url)
        measure(url, seconds=2, clients=1, records=1, token=token)
        for records, clients in ((1, 1), (1, 8), (32, 2)):
            rate, p50, p95, p99, failed = measure(
                url, seconds=given.seconds, clients=clients, records=records, token=token
            )
            all_failed += failed
            lines.append(
                f"| {records} | {clients} | {rate:.1f} | {rate * records:.1f} | {p50:.0f} | {p95:.0f} | {p99:.0f} "
                f"| {failed:.0f} |"
            )
    load, exported = os.getloadavg()[0], network != RELEASED
    text = (
        f"## Serving{', exported' if exported else ''} (`python -m benchmarks.serving`)\n\n"
        f"One process on {os.cpu_count()} cores, loopback, wrk, texts of {len(TEXT)} characters, {network}; the "
        f"machine's load average was {load:.0f} at the end (more than about {(os.cpu_count() or 1) + 2} means that "
        "other work used the cores, and the times are too high).\n\n" + "\n".join(lines)
    )
    sys.stdout.write(text + "\n")
    write_section("serving_exported" if exported else "serving", text)
    raise SystemExit(1 if all_failed else 0)


if __name__ == "__main__":
    main()
