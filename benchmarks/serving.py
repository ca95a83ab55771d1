"""The service under a real load generator: requests a second and latency of one process.

    python -m benchmarks.serving --url http://127.0.0.1:8000 [--seconds 15] [--clients 8] [--records 1]

Needs a running service (`make serve`), its token in PERENNIAL_API_TOKEN, and `wrk` (Debian: apt-get install wrk).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.out import write_section

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
    """Requests a second, p50, p95 and p99 in milliseconds, and failed requests."""
    body = {"text": TEXT} if records == 1 else {"records": [{"text": f"{TEXT} {n}"} for n in range(records)]}
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT.format(token=token, body=json.dumps(body)))
        script.flush()
        words = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", script.name, f"{url}/predict"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = re.search(r"RESULT (\d+) ([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) (\d+)", said)
    if found is None:
        raise SystemExit(f"wrk said nothing that can be read:\n{said}")
    requests, lasted, p50, p95, p99, failed = map(float, found.groups())
    return requests / lasted, p50, p95, p99, failed


def main() -> None:
    """Measure one record a request, then batches, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--seconds", type=int, default=15)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("skipped: wrk is not installed (apt-get install wrk)")
    token = os.environ["PERENNIAL_API_TOKEN"]
    measure(given.url, seconds=2, clients=1, records=1, token=token)
    lines = ["| records a request | clients | requests/s | records/s | p50 ms | p95 ms | p99 ms | failed |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for records, clients in ((1, 1), (1, 8), (32, 2)):
        rate, p50, p95, p99, failed = measure(
            given.url, seconds=given.seconds, clients=clients, records=records, token=token
        )
        lines.append(
            f"| {records} | {clients} | {rate:.1f} | {rate * records:.1f} | {p50:.0f} | {p95:.0f} | {p99:.0f} "
            f"| {failed:.0f} |"
        )
    load = os.getloadavg()[0]
    text = (
        "### Serving (`make serve`, then `python -m benchmarks.serving`)\n\n"
        f"One process on {os.cpu_count()} cores, loopback, wrk, texts of {len(TEXT)} characters; the machine's load "
        f"average was {load:.0f} at the end (more than about {(os.cpu_count() or 1) + 2} means that other work took "
        "the cores, and the seconds are too high).\n\n" + "\n".join(lines)
    )
    sys.stdout.write(text + "\n")
    write_section("serving", text)


if __name__ == "__main__":
    main()
