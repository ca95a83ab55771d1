"""The decision of `promote`, as a release reads it, and the count of decisions that were made about a model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pipelines.runtime.errors import GateClosed
from pipelines.runtime.params import read_yaml
from pipelines.runtime.project import Project
from pipelines.runtime.state import append_line, read_lines

ACTIONS = ("release", "keep", "refuse")
KEYS = ("action", "candidate", "reason", "model_digest")


def read_decision(project: Project) -> dict[str, Any]:
    """Return `data/promote/decision.json`; GateClosed when it is missing, not readable, or was edited."""
    file = project.store.folder / "promote" / "decision.json"
    try:
        decision = json.loads(file.read_text(encoding="utf-8"))
        for key in KEYS:
            decision[key]
    except FileNotFoundError:
        raise GateClosed(f"{file} is missing: nothing was decided; run `dvc repro`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise GateClosed(f"{file} is broken ({error!r}); run `dvc repro -f -s promote`") from None
    if decision["action"] not in ACTIONS:
        raise GateClosed(f"{file}: invalid action {decision['action']!r}: expected one of {', '.join(ACTIONS)}")
    _require_unchanged(file, root=project.root)
    return dict(decision)


def _require_unchanged(file: Path, *, root: Path) -> None:
    """Refuse a decision that is not the one `promote` wrote according to dvc.lock, where there is a lock file."""
    if not (root / "dvc.lock").exists():
        return
    stages = read_yaml(root / "dvc.lock").get("stages") or {}
    known = {out["path"]: out["md5"] for out in stages.get("promote", {}).get("outs", [])}
    found = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    if known.get(file.relative_to(root).as_posix()) != found:
        raise GateClosed(
            f"{file} is not what `promote` wrote (dvc.lock has another digest): edited, or of another run; "
            "run `dvc repro`"
        )


def count_decision(state: Path, model_name: str, decision: dict[str, Any]) -> None:
    """Count each different comparison once: a test set records how many decisions it was used for."""
    champion = (decision.get("champion") or {}).get("version")
    record = {"model": model_name, "candidate": decision["model_digest"], "champion": champion}
    file = state / "decisions_made.jsonl"
    if record not in read_lines(file):
        append_line(file, record)


def decisions_made(state: Path, model_name: str) -> int:
    """Return how many different decisions were made about a model so far."""
    return sum(line["model"] == model_name for line in read_lines(state / "decisions_made.jsonl"))
