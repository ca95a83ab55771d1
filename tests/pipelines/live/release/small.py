"""Versions of a few bytes in a real registry, so that moves are tested without training anything."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipelines.gates.verdict import Check, Verdict
from pipelines.live.release import moves
from pipelines.live.release.package import _digests
from pipelines.live.release.registry import Registry
from pipelines.runtime import store
from pipelines.runtime.state import home

MODEL_NAME = "small"
AT_ONCE, BY_CANARY = SimpleNamespace(through_canary=False), SimpleNamespace(through_canary=True)


def register_small(registry: Registry, decision: dict[str, Any], **_: Any) -> tuple[int, dict[str, Any]]:
    """Stands for `moves._register`: the same files and tags, without a model behind them."""
    digest = decision["model_digest"]
    folder = home() / "small" / digest[:12]
    package = folder / "artifacts" / "package"
    (package / "model" / "encoder").mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (package / "model" / "weights").write_text(digest)
    (package / "model" / "encoder" / "model.safetensors").write_text("base")
    manifest = {"git_commit": None, "dvc_lock": None, "model_digest": digest, "files": _digests(package)}
    (package / "manifest.json").write_bytes(store.to_json(manifest))
    return registry.register(folder, candidate_digest=digest, tags={}), {}


def decide(candidate: str, *, action: str = "release", passed: bool = True) -> dict[str, Any]:
    """Write what `promote` leaves in `data/promote/` of the working directory, with the present champion pinned."""
    champion = Registry(MODEL_NAME).alias("champion")
    decision = {
        "action": action,
        "candidate": "baseline",
        "reason": f"candidate {candidate} is better",
        "model_digest": hashlib.sha256(candidate.encode()).hexdigest(),
        "champion": {"version": champion} if champion else None,
    }
    store.write_json("promote", "decision.json", decision)
    check = Check.at_least("sound", 1.0 if passed else 0.0, limit=0.5, rows=9, min_rows=1, required=True, sentence="it")
    store.write_verdict(Verdict.of("promote", [check]))
    return decision


def apply(registry: Registry, *, params: Any = AT_ONCE, again: bool = False) -> dict[str, Any]:
    """`moves.apply` in the working directory."""
    return moves.apply(registry, domain=None, params=params, root=Path.cwd(), again=again)  # type: ignore[arg-type]


def release(registry: Registry, *candidates: str) -> None:
    """One release after another."""
    for candidate in candidates:
        decide(candidate)
        apply(registry)


def history() -> list[dict[str, Any]]:
    """Every line of the history as it stands on disk."""
    file = home() / "history.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def steps() -> list[tuple[str, int | None, int]]:
    """The history as (action, from, to)."""
    return [(line["action"], line["from"], line["to"]) for line in history()]


def die() -> None:
    """What kill -9 does."""
    os.kill(os.getpid(), 9)


if (
    __name__ == "__main__"
):  # one release that dies at a stated point: python -m tests.pipelines.live.release.small POINT
    import sys

    point = sys.argv[1]
    moves._register = register_small
    move_alias, record_move = Registry.move_alias, moves.history.record_move
    if point == "before_alias":
        Registry.move_alias = lambda *_: die()  # type: ignore[assignment, method-assign]
    elif point == "before_line":
        moves.history.record_move = lambda **_: die()  # type: ignore[assignment]
    elif point == "after_line":
        moves.history.record_move = lambda **words: (record_move(**words), die())  # type: ignore[assignment]
    apply(Registry(MODEL_NAME))
