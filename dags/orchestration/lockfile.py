"""Read `dvc.lock`, compare it with the disk, and order its stages as one `dvc repro` would."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .project import Project

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(text: str) -> dict[str, Any]:
    """Return the stages of a lock file's text by name; ValueError when it is not a lock file."""
    try:
        found = yaml.load(text, Loader=_Loader)  # noqa: S506  a safe loader, the C one where there is one
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    if found is None:
        return {}
    stages = found.get("stages", {}) if isinstance(found, dict) else None
    if not isinstance(stages, dict):
        raise ValueError("expected a mapping with the key `stages`")
    return stages


def address(stage: str) -> tuple[str, str]:
    """Return the lock file of a stage address (`train` or `sub/dvc.yaml:train`) and the stage's name in it."""
    file, _, name = stage.rpartition(":")
    return (str(Path(file).with_suffix(".lock")) if file else "dvc.lock"), name


def entry(workspace: Path, stage: str) -> dict[str, Any] | None:
    """Return the stage's entry in its lock file, or None."""
    file, name = address(stage)
    path = workspace / file
    return parse(path.read_text(encoding="utf-8")).get(name) if path.is_file() else None


def mismatches(workspace: Path, stage: str, *, found: Mapping[str, Any] | None, project: Project) -> list[str]:
    """Return a line for each path of the stage whose content on disk differs from its lock entry.

    The quick comparison is made here. Where it finds a difference, DVC decides, with an empty state database so that
    it reads every byte again: it knows `.dvcignore`, and this module does not.
    """
    folder = workspace / Path(address(stage)[0]).parent
    if found is None:
        return [f"{address(stage)[0]} has no entry for {stage}"]
    wrong = []
    for side in ("deps", "outs"):
        for item in found.get(side, []):
            expected = item.get("md5")
            if expected is None or "://" in item["path"]:
                continue
            path = folder / item["path"]
            actual = digest(path)
            if actual != expected:
                wrong.append(f"{item['path']}: {expected} in {address(stage)[0]}, {actual or 'missing'} on disk")
    return wrong if wrong and not _unchanged(workspace, stage, project=project) else []


def digest(path: Path) -> str | None:
    """Return DVC's digest of a file (md5 of its bytes) or folder (md5 of its sorted listing); None when missing."""
    if path.is_dir():
        listing = [
            {"md5": _md5(file), "relpath": file.relative_to(path).as_posix()}
            for file in path.rglob("*")
            if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
        ]
        listing.sort(key=lambda item: item["relpath"])
        return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
    return _md5(path) if path.is_file() else None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _unchanged(workspace: Path, stage: str, *, project: Project) -> bool:
    with tempfile.TemporaryDirectory() as empty:
        answer = subprocess.run(
            [str(project.tools / "dvc"), "--cd", str(workspace), "--wait-for-lock", "status", "--json", stage],
            env=project.environment(DVC_SITE_CACHE_DIR=empty),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    with contextlib.suppress(ValueError):
        found = json.loads(answer.stdout)
        return answer.returncode == 0 and all(changes == ["always changed"] for changes in found.values())
    return False


def in_order(text: str, *, order: Sequence[str], before: str | None) -> str:
    """Return the lock file's text with its stages in the order of one `dvc repro`.

    DVC appends a stage when it first runs, and tasks end in any order. Stages of `before` (the text at the run's
    start) keep their places, the others follow in `order`. A text that cannot be split cleanly is returned unchanged.
    """
    parts = re.split(r"(?m)^(?=  \S)", text)
    head, blocks = parts[0], parts[1:]
    try:
        stages = parse(text)
        named = {next(iter(parse(f"stages:\n{block}"))): block for block in blocks}
        known = [name for name in parse(before) if name in named] if before else []
    except (ValueError, StopIteration, AttributeError):
        return text
    if list(named) != list(stages) or not text.endswith("\n"):
        return text
    place = {name: number for number, name in enumerate(order)}
    fresh = sorted((name for name in named if name not in known), key=lambda name: place.get(name, len(place)))
    ordered = head + "".join(named[name] for name in [*known, *fresh])
    return ordered if parse(ordered) == stages else text


def remove_empty_run_cache_folders(cache: Path, *, older_than: float = 5.0) -> None:
    """Remove empty folders of the run cache: a kill while DVC makes an entry leaves one, and DVC then fails on it.

    A folder younger than `older_than` seconds may be one that another task is filling.
    """
    for folder in (cache / "runs").glob("*/*"):
        with contextlib.suppress(OSError):  # not empty, or removed by another task
            if folder.is_dir() and folder.stat().st_mtime < time.time() - older_than:
                folder.rmdir()
