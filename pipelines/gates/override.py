"""Overrides: the signed record of a person who lets one closed gate pass."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.gates.status import OVERRIDE, load_verdict, override_file, signature
from pipelines.runtime.errors import GateClosed, ParamsError
from pipelines.runtime.state import write_atomic
from pipelines.runtime.store import Store, to_json

MIN_REASON_LENGTH = 10


def record_override(store: Store, *, stage: str, who: str, when: str, why: str) -> Path:
    """Write the override record of the stage's current verdict and return its path.

    Raises GateClosed when the gate is open, the verdict cannot be trusted, or the name or the reason is too short.
    """
    verdict, digest = load_verdict(store, stage)
    if verdict.passed:
        raise GateClosed(f"gate {stage!r} is open; nothing to override")
    if not who.strip() or len(why.strip()) < MIN_REASON_LENGTH:
        raise GateClosed(
            f"invalid override by {who!r} for {why!r}: expected a name and a reason of at least "
            f"{MIN_REASON_LENGTH} characters"
        )
    record: dict[str, Any] = {
        "stage": stage,
        "verdict_digest": digest,
        "who": who,
        "when": when,
        "why": why,
        "checks": [check.name for check in verdict.closed_by] or ["no check was made"],
    }
    record["signature"] = signature(record)
    if store.key is not None:
        record["key_signature"] = store.key.sign(OVERRIDE, record["signature"])
        if record["key_signature"] is None:
            raise GateClosed(f"{store.key.file} holds a public key only: an override is signed with the private key")
    file = override_file(store, stage, digest)
    write_atomic(file, to_json(record))
    return file


def require_closed(store: Store, stage: str, *, gates: Sequence[str]) -> None:
    """Raise ParamsError for a stage that is not one of `gates`, GateClosed for an open gate; both list the gates."""
    if stage not in gates:
        raise ParamsError(f"unknown gate {stage!r}. Gates: {_listed(store, gates)}")
    if load_verdict(store, stage)[0].passed:
        raise GateClosed(f"gate {stage!r} is open; nothing to override. Gates: {_listed(store, gates)}")


def gates_of(pipeline: Mapping[str, Any]) -> list[str]:
    """Return the stages of a `dvc.yaml` that write a verdict, in its order."""
    return [
        name for name, stage in pipeline["stages"].items() if f"data/{name}/verdict.json" in str(stage.get("metrics"))
    ]


def _listed(store: Store, gates: Sequence[str]) -> str:
    """Return each gate with its state; a verdict that cannot be trusted counts as closed."""
    listed = []
    for name in gates:
        state = "closed" if (store.folder / name / "verdict.json").exists() else "no verdict"
        with contextlib.suppress(GateClosed):
            state = "open" if load_verdict(store, name)[0].passed else state
        listed.append(f"{name} ({state})")
    return ", ".join(listed)
