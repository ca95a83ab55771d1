"""Digests of a version's files: against its manifest, and of the manifest against the history."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.live.release.history import Move
from pipelines.runtime.errors import InputError
from pipelines.runtime.store import file_digest

MANIFEST = "manifest.json"


def files_digest(model_folder: Path) -> str:
    """Return the sha256 over names and digests of a saved model's files, except those that its use leaves there."""
    names = sorted(
        file.relative_to(model_folder).as_posix()
        for file in model_folder.rglob("*")
        if file.is_file() and file.suffix != ".pyc" and file.name != "registered_model_meta"
    )
    lines = [f"{name} {file_digest(model_folder / name)}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_manifest(package: Path, *, what: str) -> dict[str, Any]:
    """Return the manifest of a package; InputError names the first file that is missing, added or changed."""
    file = package / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        wanted: dict[str, str] = manifest["files"]
    except FileNotFoundError:
        raise InputError(f"{what}: {MANIFEST} is missing; the version is not complete") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{what}: {MANIFEST} is broken: {error!r}") from None
    present = {item.relative_to(package).as_posix() for item in package.rglob("*") if item.is_file()} - {MANIFEST}
    for name in sorted(present ^ set(wanted)):
        raise InputError(f"{what}: {name} {'was added' if name in present else 'is missing'}; refused")
    for name, digest in wanted.items():
        found = file_digest(package / name)
        if found != digest:
            raise InputError(
                f"{what}: {name} has sha256 {found[:12]}, its manifest has {digest[:12]}: it was changed; refused"
            )
    return manifest


def check_evidence(manifest: Path, *, what: str, version: int, moves: Sequence[Move]) -> str:
    """Return the digest of a manifest; InputError when the history recorded another one for the version."""
    found = file_digest(manifest)
    for move in moves:
        recorded = (move.get("evidence") or {}).get("manifest") if move["to"] == version else None
        if recorded not in (None, found):
            raise InputError(
                f"{what}: {manifest.name} has sha256 {found[:12]}, the history recorded {str(recorded)[:12]} when it became "
                "champion: the model was rewritten after its release; refused"
            )
    return found
