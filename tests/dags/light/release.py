"""A registry of one JSON file: `python release.py pin|apply|rollback --reason=R`; applying twice makes one version."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

HOME = Path(os.environ["LIGHT_HOME"]) / "registry"


def load():
    file = HOME / "registry.json"
    return json.loads(file.read_text()) if file.exists() else {"versions": [], "champion": None, "history": []}


def save(state):
    partial = HOME / "registry.json.partial"
    partial.write_text(json.dumps(state, indent=1, sort_keys=True))
    partial.replace(HOME / "registry.json")


def pin(state, option=""):
    version = None if option == "--backfill" else state["champion"]
    content = {"version": version, "digest": state["versions"][version - 1]["digest"] if version else None}
    Path("data/champion.json").write_text(json.dumps(content, sort_keys=True) + "\n")


def apply(state):
    decision = json.loads(Path("data/promote/decision.json").read_text())
    found = hashlib.sha256(Path("data/merge/model/model.txt").read_bytes()).hexdigest()
    assert found == decision["model_digest"]
    if decision["action"] != "release":
        return {"action": decision["action"], "version": state["champion"]}
    known = [item["version"] for item in state["versions"] if item["digest"] == found]
    if known:
        version = known[0]
    else:
        version = len(state["versions"]) + 1
        folder = HOME / f"v{version}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree("data/merge/model", folder)
        state["versions"].append({"version": version, "digest": found})
        save(state)
        if "LIGHT_RELEASE_STOPS" in os.environ:  # between registration and alias, until it is killed
            signal.pause()
    if state["champion"] != version:
        state["history"].append([state["champion"], version])
        state["champion"] = version
        save(state)
    return {"action": "release", "version": version}


def rollback(state, reason):
    old, new = state["champion"], state["history"][-1][0]
    state["history"].append([old, new])
    state["champion"] = new
    state["reason"] = reason
    save(state)
    return {"action": "rollback", "version": new, "reason": reason}


if __name__ == "__main__":
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rest = [argument.removeprefix("--reason=") for argument in sys.argv[2:]]
        result = json.dumps(globals()[sys.argv[1]](load(), *rest) or {})
    print("released: {not the result}")
    Path(os.environ["LIGHT_RESULT_FILE"]).write_text(result)
