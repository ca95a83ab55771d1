"""Gate status: a stage starts only when every gate before it is open, or overridden for exactly that verdict."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pipelines.gates.verdict import Verdict, read_verdict
from pipelines.runtime.errors import GateClosed
from pipelines.runtime.store import Store

OVERRIDES = "overrides"
OVERRIDE = "override"  # what a signature with a key is for
FIELDS = ("stage", "verdict_digest", "who", "when", "why", "checks")


def require_open(store: Store, *stages: str) -> tuple[dict[str, Any], ...]:
    """Return the override records that open the gates named; GateClosed unless every one of the gates is open."""
    used = []
    for stage in stages:
        verdict, digest = load_verdict(store, stage)
        if verdict.passed:
            continue
        record = find_override(store, stage, digest)
        if record is None:
            raise GateClosed(_refusal(verdict, store=store))
        used.append(record)
    return tuple(used)


def gate_status(store: Store, stage: str) -> dict[str, Any]:
    """Return whether one gate is open, as plain values for another program.

    `open` is what `require_open` decides; `reason` is its message when the gate is closed, `digest` and `passed` are
    None when the verdict is missing or cannot be trusted, `override` is the record that opens a closed verdict.
    """
    status: dict[str, Any] = {"stage": stage, "open": False, "reason": None, "override": None}
    status |= {"digest": None, "passed": None}
    try:
        verdict, status["digest"] = load_verdict(store, stage)
        status["passed"] = verdict.passed
        used = require_open(store, stage)
    except GateClosed as error:
        return status | {"reason": str(error)}
    return status | {"open": True, "override": used[0] if used else None}


def load_verdict(store: Store, stage: str) -> tuple[Verdict, str]:
    """Return the verdict of a stage and its digest; GateClosed when the file is missing, broken or edited."""
    file = store.folder / stage / "verdict.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return read_verdict(content, stage=stage), content["digest"]
    except FileNotFoundError:
        raise GateClosed(f"gate {stage!r} is closed: {file} is missing; run `dvc repro {stage}`") from None
    except ValueError as error:
        raise GateClosed(
            f"gate {stage!r} is closed: {file} cannot be trusted: {error}; run `dvc repro -f -s {stage}`"
        ) from None


def find_override(store: Store, stage: str, digest: str) -> dict[str, Any] | None:
    """Return the override record of exactly this verdict, or None; GateClosed when the record is not intact."""
    file = override_file(store, stage, digest)
    if not file.exists():
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        missing = [name for name in FIELDS if not record.get(name)]
    except (ValueError, AttributeError) as error:
        raise GateClosed(f"{file} is not an override record: {error}") from None
    if missing:
        raise GateClosed(f"{file} lacks {', '.join(missing)}: an override states who, when, why and which verdict")
    if record["stage"] != stage or record["verdict_digest"] != digest or record.get("signature") != signature(record):
        raise GateClosed(f"{file} was edited or is for another verdict; create it with `python -m pipelines override`")
    if store.key is not None and not store.key.accepts(OVERRIDE, record["signature"], record.get("key_signature")):
        raise GateClosed(
            f"{file} is not signed with the key {store.key.file}; create it with `python -m pipelines override`"
        )
    return dict(record)


def override_file(store: Store, stage: str, digest: str) -> Path:
    """Return the path of the override record of a verdict, whether or not it exists."""
    return store.folder / OVERRIDES / f"{stage}-{digest[:12]}.json"


def signature(record: dict[str, Any]) -> str:
    """Return the sha256 over the fields of an override record; Git records who committed it."""
    body = {name: record[name] for name in FIELDS}
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _refusal(verdict: Verdict, *, store: Store) -> str:
    lines = [f"gate {verdict.stage!r} is closed, so no stage after it starts:"]
    lines += [f"  {check.describe()}" for check in verdict.closed_by] or ["  it has no checks at all"]
    lines.append(
        f"Evidence: {store.folder / verdict.stage / 'verdict.json'}. Fix the cause, or record an override: "
        f"python -m pipelines override --stage {verdict.stage} --who NAME --why REASON"
    )
    return "\n".join(lines)
