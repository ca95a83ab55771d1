"""Versions of a few bytes in a real registry, so that moves are tested without training anything."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from pipelines.gates.verdict import Check, Verdict
from pipelines.live.release import moves
from pipelines.live.release.package import file_digests
from pipelines.live.release.registry import Registry
from pipelines.runtime.project import Project
from pipelines.runtime.store import Store, to_json
from tests.factories.projects import make_project
from tests.factories.state import state_root

MODEL_NAME = "small"
RELEASE = {
    "model_name": MODEL_NAME,
    "max_p95_single_ms": 20,
    "max_p95_batch_ms": 20,
    "preflight_seconds": 1,
    "preflight_clients": 1,
    "max_self_labeled_share": 0.2,
    "through_canary": False,
}
DECISION = Path("data/promote/decision.json")  # in the checkout, which is the working directory


def project_of(*, through_canary: bool = False) -> Project:
    """Return the project in the working directory whose releases go through a canary, or do not."""
    return make_project(Path.cwd(), sections={"release": {**RELEASE, "through_canary": through_canary}})


def register_small(project: Project, registry: Registry, decision: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Register a version as `registration.register_candidate` does: the same files and tags, without a model."""
    digest = decision["model_digest"]
    folder = registry.state / "small" / digest[:12]
    package = folder / "artifacts" / "package"
    (package / "model" / "encoder").mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (package / "model" / "weights").write_text(digest)
    (package / "model" / "encoder" / "model.safetensors").write_text("base")
    manifest = {"git_commit": None, "dvc_lock": None, "model_digest": digest, "files": file_digests(package)}
    (package / "manifest.json").write_bytes(to_json(manifest))
    return registry.register(folder, candidate_digest=digest, tags={}), {}


def decide(registry: Registry, candidate: str, *, action: str = "release", passed: bool = True) -> dict[str, Any]:
    """Write what `promote` leaves in `data/promote/` of the working directory, with the present champion pinned."""
    champion = registry.alias("champion")
    decision = {
        "action": action,
        "candidate": "baseline",
        "reason": f"candidate {candidate} is better",
        "model_digest": hashlib.sha256(candidate.encode()).hexdigest(),
        "champion": {"version": champion} if champion else None,
    }
    store = Store(Path.cwd() / "data")
    store.write_json("promote", "decision.json", decision)
    check = Check.at_least("sound", 1.0 if passed else 0.0, limit=0.5, rows=9, min_rows=1, required=True, sentence="it")
    store.write_verdict(Verdict.of("promote", [check]))
    return decision


def apply(registry: Registry, *, through_canary: bool = False, again: bool = False) -> dict[str, Any]:
    """Carry out the decision in the working directory."""
    return moves.apply(project_of(through_canary=through_canary), registry, again=again)


def release(registry: Registry, *candidates: str) -> None:
    """Release one candidate after another."""
    for candidate in candidates:
        decide(registry, candidate)
        apply(registry)


def history_lines() -> list[dict[str, Any]]:
    """Return every line of the history on disk."""
    file = state_root() / "history.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def steps() -> list[tuple[str, int | None, int]]:
    """Return the history as (action, from, to)."""
    return [(line["action"], line["from"], line["to"]) for line in history_lines()]


def die() -> None:
    """Kill this process with SIGKILL."""
    os.kill(os.getpid(), 9)


def release_and_die(point: str) -> None:
    """Carry out the decision in the working directory and die at a stated point."""
    moves.register_candidate = register_small  # type: ignore[assignment]
    append_move = moves.history.append_move
    if point == "before_alias":
        Registry.move_alias = lambda *_: die()  # type: ignore[assignment, method-assign]
    elif point == "before_line":
        moves.history.append_move = lambda *_, **__: die()  # type: ignore[assignment]
    elif point == "after_line":
        moves.history.append_move = lambda *given, **named: (append_move(*given, **named), die())  # type: ignore[assignment]
    apply(Registry.open(project_of()))


if __name__ == "__main__":  # python -m tests.factories.small_release POINT
    release_and_die(sys.argv[1])
