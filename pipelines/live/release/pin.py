"""Pin: write `data/champion.json` and `data/champion/` from the registry, so that no stage reads the registry."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from pipelines.live.release.package import read_manifest
from pipelines.live.release.registry import CHAMPION, DIGEST_TAG, Registry
from pipelines.runtime.champion import CHAMPION_FILE, CHAMPION_FOLDER, NOT_COMPARED, PARTS
from pipelines.runtime.errors import PerennialError
from pipelines.runtime.programs import dvc, require_history
from pipelines.runtime.state import write_atomic
from pipelines.runtime.store import file_digest, folder_digest, to_json

logger = logging.getLogger(__name__)

NOTHING = "No champion is pinned.\n"
BACKFILL = "a backfill is compared with no champion, and never released"


def pin(registry: Registry, *, root: Path, decisions_used: int, backfill: bool = False) -> int | None:
    """Pin the champion of the registry into the checkout `root` and return its version, or None without a champion.

    A backfill is compared with no champion: those of its window were trained on later days, or not yet there.
    """
    version = None if backfill else registry.alias(CHAMPION)
    temporary = root / CHAMPION_FOLDER.parent / ".champion.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    content: dict[str, Any] = {"version": None} | ({NOT_COMPARED: BACKFILL} if backfill else {})
    try:
        if version is None:
            (temporary / "NONE").write_text(NOTHING, encoding="utf-8")
        else:
            content = _fetch(registry, version, target=temporary, decisions_used=decisions_used)
        _replace(temporary, root / CHAMPION_FOLDER)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    write_atomic(root / CHAMPION_FILE, to_json(content))
    _track(root)
    none = f"no champion: {BACKFILL if backfill else 'the registry has none'}"
    logger.info("pinned %s", none if version is None else f"version {version}")
    return version


def _fetch(registry: Registry, version: int, *, target: Path, decisions_used: int) -> dict[str, Any]:
    package = registry.package(version)
    manifest = read_manifest(package)
    for part in PARTS:
        if (package / part).is_dir():
            # Every machine finds the base model by its digest; the pinned copy holds only what was trained.
            shutil.copytree(package / part, target / part, ignore=shutil.ignore_patterns("encoder"))
        else:
            shutil.copyfile(package / part, target / part)
    digests = {
        key: folder_digest(target / part) if (target / part).is_dir() else file_digest(target / part)
        for part, key in PARTS.items()
    }
    best = json.loads((package / "anchor_best.json").read_text(encoding="utf-8"))
    if best["version"] is None:
        best["version"] = version
    return {
        "version": version,
        "model_name": registry.model_name,
        "candidate": manifest["candidate"],
        "candidate_digest": registry.client.get_model_version(registry.model_name, str(version)).tags[DIGEST_TAG],
        "domain": manifest["domain"],
        "labels": manifest["labels"],
        "anchor_best": best,
        "decisions_used": decisions_used,
        **digests,
    }


def _replace(source: Path, target: Path) -> None:
    """Replace a folder; an unchanged one stays as it is, so that DVC finds nothing to do."""
    if target.is_dir():
        if folder_digest(source) == folder_digest(target):
            return
        shutil.rmtree(target)
    source.rename(target)


def _track(root: Path) -> None:
    """Add `data/champion/` to DVC, so that a replay elsewhere has it without the registry."""
    if not (root / ".dvc").is_dir():
        return
    if dvc(root, "add", "--quiet", str(CHAMPION_FOLDER)).returncode:
        require_history(root)
        raise PerennialError(f"`dvc add {CHAMPION_FOLDER}` failed in {root}: its message is above")
