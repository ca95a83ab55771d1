"""The stages of a light pipeline: `python stage.py NAME [ITEM]`; every output is a function of tracked files."""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import yaml

DATA = Path("data")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def slowly(path, lines, seconds):
    """Write line by line, in place: a kill leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for line in lines:
            file.write(line + "\n")
            file.flush()
            time.sleep(seconds / max(len(lines), 1))


def digest(*paths):
    return hashlib.sha256(b"".join(Path(path).read_bytes() for path in paths)).hexdigest()


def ingest(params):
    days = params["ingest"]
    lines = [f"{days['start']} {days['end']} {number * days['seed'] % 97}" for number in range(days["rows"])]
    slowly(DATA / "ingest" / "rows.txt", lines, params["pace"])
    write(DATA / "ingest" / "metrics.json", json.dumps({"rows": len(lines)}) + "\n")


def split(params, name):
    lines = (DATA / "ingest" / "rows.txt").read_text().splitlines()
    folder = DATA / "split" / name
    for part in ("a", "b"):
        slowly(folder / f"{part}.txt", [f"{name} {part} {line}" for line in lines], params["pace"] / 4)


def train(params, name, size):
    time.sleep(params["pace"])
    source = DATA / "split" / name / "a.txt"
    write(DATA / "train" / f"{name}-{size}.txt", digest(source) * int(size) + "\n")


def gate(params):
    rows = json.loads((DATA / "ingest" / "metrics.json").read_text())["rows"]
    check = {"name": "enough_rows", "value": rows, "side": "at_least", "limit": params["gate"]["limit"], "rows": rows}
    passed = rows >= params["gate"]["limit"]
    check |= {
        "outcome": "passed" if passed else "failed",
        "required": True,
        "sentence": "at least as many rows as the limit",
    }
    shown = [] if passed else [{"id": f"r{number}", "why": "too few rows like this"} for number in range(5)]
    verdict = {"stage": "gate", "passed": passed, "checks": [check], "shown_records": shown, "digest": f"d{rows}"}
    write(DATA / "gate" / "verdict.json", json.dumps(verdict, sort_keys=True) + "\n")


def merge(params):
    if not json.loads((DATA / "gate" / "verdict.json").read_text())["passed"]:
        sys.stderr.write("merge: the gate of stage gate is closed\n")
        raise SystemExit(65)
    files = sorted((DATA / "split").rglob("*.txt")) + sorted((DATA / "train").glob("*.txt"))
    write(DATA / "merge" / "model" / "model.txt", digest(*files) + "\n")
    for number in range(3):
        write(DATA / "merge" / "model" / f"part{number}.txt", f"{number}\n")


def promote(params):
    champion = json.loads(Path("data/champion.json").read_text())
    found = digest("data/merge/model/model.txt")
    action = "keep" if champion["version"] is not None and champion["digest"] == found else "release"
    decision = {"action": action, "model_digest": found, "champion": champion["version"], "reason": "new model"}
    write(DATA / "promote" / "decision.json", json.dumps(decision, sort_keys=True) + "\n")


if __name__ == "__main__":
    if os.environ.get("LIGHT_STOP_AT") == sys.argv[1]:
        raise SystemExit(int(os.environ.get("LIGHT_STOP_WITH", "1")))
    globals()[sys.argv[1]](yaml.safe_load(Path("params.yaml").read_text()), *sys.argv[2:])
