"""What `dvc.lock` and DVC's other small files say, compared with the disk and mended after a crash."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .process import alive, write_whole
from .project import Project

logger = logging.getLogger(__name__)

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(text: str) -> dict[str, Any]:
    """Stages of a lock file's text by name; ValueError when it is none."""
    try:
        found = yaml.load(text, Loader=_Loader)  # noqa: S506  a safe loader, the C one where there is one
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    if found is None:
        return {}
    stages = found.get("stages") if isinstance(found, dict) else None
    if not isinstance(stages, dict):
        raise ValueError("there are no stages in it")
    return stages


def address(stage: str) -> tuple[str, str]:
    """Lock file and name in it of a stage address: `train` or `sub/dvc.yaml:train`."""
    file, _, name = stage.rpartition(":")
    return (str(Path(file).with_suffix(".lock")) if file else "dvc.lock"), name


def entry(workspace: Path, stage: str) -> dict[str, Any] | None:
    """The stage's entry in its lock file, or None."""
    file, name = address(stage)
    path = workspace / file
    return parse(path.read_text(encoding="utf-8")).get(name) if path.is_file() else None


def mismatches(workspace: Path, stage: str, *, found: Mapping[str, Any] | None, project: Project) -> list[str]:
    """Paths of the stage whose content on disk is not what its lock entry says.

    The quick comparison is made here; where it finds a difference, DVC has the last word, with an empty state
    database, so that it reads every byte again (it knows `.dvcignore`, this module does not).
    """
    folder = workspace / Path(address(stage)[0]).parent
    if found is None:
        return [f"{address(stage)[0]} has no entry for it"]
    wrong = []
    for side in ("deps", "outs"):
        for item in found.get(side, []):
            expected = item.get("md5")
            if expected is None or "://" in item["path"]:
                continue
            path = folder / item["path"]
            actual = digest(path)
            if actual != expected:
                wrong.append(f"{item['path']}: {address(stage)[0]} says {expected}, on disk is {actual or 'nothing'}")
    return wrong if wrong and not _unchanged(workspace, stage, project=project) else []


def digest(path: Path) -> str | None:
    """DVC's digest of a file or folder: md5 of the bytes, or of the sorted listing of a folder."""
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
        return answer.returncode == 0 and not json.loads(answer.stdout)
    return False


def in_order(text: str, *, order: Sequence[str], before: str | None) -> str:
    """The lock file's text with its stages where one `dvc repro` would have put them.

    DVC appends a stage when it first runs, and tasks end in any order: what `before` (the text at the run's start)
    held stays where it was, the rest follows in `order`. A text that does not take apart cleanly is returned as it is.
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
    mended = head + "".join(named[name] for name in [*known, *fresh])
    return mended if parse(mended) == stages else text


def mend_rwlock(workspace: Path) -> None:
    """Drop from DVC's `rwlock` what no living process holds: a cut file, and entries of dead or zombie processes."""
    folder = workspace / ".dvc" / "tmp"
    path = folder / "rwlock"
    if not path.exists():
        return
    with (folder / "rwlock.lock").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # the same advisory lock that DVC takes around this file
        try:
            held = json.loads(path.read_text())
            write = {where: who for where, who in held.get("write", {}).items() if _holds(who)}
            read = {where: [who for who in all_ if _holds(who)] for where, all_ in held.get("read", {}).items()}
        except (OSError, ValueError, AttributeError, TypeError, KeyError):
            logger.warning("%s was cut short by a crash: removed", path)
            path.unlink(missing_ok=True)
            return
        kept = {"write": write, "read": {where: who for where, who in read.items() if who}}
        if kept != {"write": held.get("write", {}), "read": held.get("read", {})}:
            logger.warning("%s named processes that are dead: mended", path)
            write_whole(path, json.dumps(kept))


def mend_run_cache(cache: Path, *, older_than: float = 5.0) -> None:
    """Drop empty folders of the run cache: a kill while DVC makes an entry leaves one, and DVC then fails on it."""
    for folder in (cache / "runs").glob("*/*"):
        with contextlib.suppress(OSError):  # not empty, or taken away by another task
            if folder.is_dir() and folder.stat().st_mtime < time.time() - older_than:
                folder.rmdir()


def _holds(who: Mapping[str, Any]) -> bool:
    pid = int(who["pid"])
    if not alive(pid):
        return False
    with contextlib.suppress(OSError):  # a number that now belongs to some other program holds nothing
        return b"dvc" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return True


def damage(text: str, *, committed: Mapping[str, Any], outs: Mapping[str, set[str]]) -> str | None:
    """What a crash did to a lock file: unreadable, or an entry that was there is gone or cut; None when whole."""
    try:
        stages = parse(text)
    except ValueError as error:
        return str(error)
    if missing := set(committed) - set(stages):
        return f"no longer names {', '.join(sorted(missing))}"
    for name, found in stages.items():
        written = {item.get("path") for item in found.get("outs", [])} if isinstance(found, dict) else set()
        if not isinstance(found, dict) or "cmd" not in found or (name in outs and not outs[name] <= written):
            return f"the entry of {name} is cut short"
    return None
