"""Commands of the light pipeline's project: `python project.py set|gate|page|settle ...`, the protocol of `python -m
pipelines`.
"""

import argparse
import datetime as dt
import json
import os
import sys
from pathlib import Path

import yaml

PARAMS, VERDICT, OVERRIDES = Path("params.yaml"), Path("data/gate/verdict.json"), Path("data/overrides")


def set_parameters(file, start, end):
    params = yaml.safe_load(PARAMS.read_text())
    changes = json.loads(Path(file).read_text()) if file else {}
    if end:
        first = dt.date.fromisoformat(end) - dt.timedelta(days=changes.get("ingest.window_days", 7))
        changes |= {"ingest.start": start or first.isoformat(), "ingest.end": end}
    for name, value in changes.items():
        *path, last = name.split(".")
        section = params
        for part in path:
            section = section.get(part, {})
        if last not in section:
            sys.stderr.write(f"light: unknown parameter {name}: expected one of {', '.join(section)}\n")
            raise SystemExit(64)
        section[last] = value
    PARAMS.write_text(yaml.safe_dump(params, sort_keys=False))
    return changes


def gate(stage):
    verdict = json.loads(VERDICT.read_text()) if VERDICT.exists() else {"passed": False, "digest": None}
    file = OVERRIDES / f"{stage}-{verdict['digest']}.json"
    override = json.loads(file.read_text()) if not verdict["passed"] and file.exists() else None
    is_open = verdict["passed"] or override is not None
    reason = None if is_open else f"gate {stage} is closed"
    return {"stage": stage, "open": is_open, "passed": verdict["passed"], "override": override, "reason": reason}


def page():
    if os.environ.get("LIGHT_STOP_AT") == "page":
        raise SystemExit("the page cannot be rendered")
    file = Path("data/pages/gate.html")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"<p>{VERDICT.read_text()}</p>\n")
    return {"pages": [str(file)]}


def settle(**ended):
    with (Path(os.environ["LIGHT_HOME"]) / "outcomes.jsonl").open("a") as lines:
        lines.write(json.dumps(ended) + "\n")
    return ended


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command")
    options = commands.add_parser("set")
    for option in ("--file", "--start", "--end"):
        options.add_argument(option)
    commands.add_parser("gate").add_argument("stage")
    commands.add_parser("page")
    settling = commands.add_parser("settle")
    settling.add_argument("--check", action="store_true")
    for option in ("--key", "--run-id", "--outcome", "--minutes", "--why", "--model-version"):
        settling.add_argument(option)
    given = vars(parser.parse_args())
    made = {"set": set_parameters, "gate": gate, "page": page, "settle": settle}[given.pop("command")](**given)
    Path(os.environ["LIGHT_RESULT_FILE"]).write_text(json.dumps(made))
