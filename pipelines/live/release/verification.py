"""`make verify`: alias, history, manifests, files, signatures and open releases are compared with each other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.live.release.history import Move, history_file, read_history
from pipelines.live.release.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from pipelines.runtime.errors import PerennialError
from pipelines.runtime.places import sqlite_file
from pipelines.runtime.project import Project
from pipelines.runtime.signing import VARIABLE

RESTORE = "`python -m pipelines restore` points it there"
UNKEYED = (
    "the history and the manifests are not signed: a person who can write to the state root and to the registry can "
    f"rewrite both consistently. {VARIABLE} names a key that is kept elsewhere (docs/security.md)"
)
MAX_RELEASE_TIME = timedelta(hours=1)  # a release that takes longer was interrupted


@dataclass
class Verified:
    """What was found: nothing in `findings` means that everything agrees."""

    history_lines: int = 0
    champion: int | None = None
    signed: bool = False
    findings: list[dict[str, str]] = field(default_factory=list)

    def add(self, check: str, message: str) -> None:
        """Add a finding of a check."""
        self.findings.append({"check": check, "message": message})

    def content(self) -> dict[str, Any]:
        """Return the result as plain values."""
        found: dict[str, Any] = {"history_lines": self.history_lines, "champion": self.champion}
        found |= {"signed": self.signed, "intact": not self.findings}
        return found | ({"findings": self.findings} if self.findings else {})


def verify(project: Project, *, now: datetime) -> Verified:
    """Compare everything that states which version is champion and what it consists of; nothing is written."""
    verified = Verified(signed=project.signing_key is not None)
    moves = _history(project, verified)
    _unrecorded(project.state, verified, now=now)
    database = sqlite_file(project.tracking_uri)
    if database is not None and not database.exists():
        if moves:
            verified.add(
                "registry", f"the registry {database} is missing, and the history names version {moves[-1]['to']} as "
                "champion: restore the file from its backup",
            )  # fmt: skip
        return verified
    registry = Registry.open(project)
    aliases = registry.aliases()
    verified.champion = aliases.get(CHAMPION)
    if moves is not None:
        _compare(registry, moves, aliases, verified)
    for version in sorted({aliases[name] for name in (CHAMPION, PREVIOUS, CHALLENGER) if name in aliases}):
        try:
            if registry.exists(version):
                registry.package(version)
            else:
                names = [name for name in aliases if aliases[name] == version]
                verified.add("alias", f"version {version} does not exist, and {', '.join(names)} points to it")
        except PerennialError as error:
            verified.add("files", str(error))
    return verified


def _history(project: Project, verified: Verified) -> list[Move] | None:
    """Return the moves of this model, or None when the file cannot be trusted, which is a finding."""
    try:
        moves = read_history(project.state, project.model_name, key=project.signing_key)
    except PerennialError as error:
        verified.add("history", str(error))
        return None
    verified.history_lines = len(moves)
    return moves


def _compare(registry: Registry, moves: list[Move], aliases: dict[str, int], verified: Verified) -> None:
    """Compare the last line of the history with the alias, and its length with the one that the registry noted."""
    file, alias = history_file(registry.state), aliases.get(CHAMPION)
    wanted = moves[-1]["to"] if moves else None
    count, head = registry.head() or (0, "")
    if len(moves) < count:
        verified.add(
            "history", f"{file} has {len(moves)} lines of {registry.model_name}, and {count} were written: "
            f"{count - len(moves)} at its end were removed; restore the file from its backup",
        )  # fmt: skip
    elif count and moves[count - 1]["hash"] != head:
        verified.add("history", f"{file}: line {count} of {registry.model_name} is another one than was written")
    elif alias is not None and not moves:
        verified.add(
            "history", f"{file} has no line, and the alias points to version {alias}: restore it from its backup"
        )
    if moves and alias is None:
        verified.add("alias", f"the alias {CHAMPION} is gone; the history names version {wanted}: {RESTORE}")
    elif moves and alias != wanted:
        verified.add("alias", f"the alias {CHAMPION} points to version {alias}, the history to {wanted}: {RESTORE}")


def _unrecorded(state: Path, verified: Verified, *, now: datetime) -> None:
    """Add releases under Airflow that began long ago and whose run was never recorded at the origin."""
    for file in sorted((state / "runs" / "unrecorded").glob("*.json")):
        try:
            began = datetime.fromtimestamp(file.stat().st_mtime, tz=now.tzinfo)
            note = json.loads(file.read_text(encoding="utf-8"))
            name = f"run {note.get('run_id', file.stem)} of {note.get('dag_id', 'an unknown flow')}"
        except (OSError, ValueError, AttributeError) as error:
            verified.add("unrecorded", f"{file} is not readable: {error}")
            continue
        if now - began > MAX_RELEASE_TIME:
            verified.add(
                "unrecorded", f"{name} began a release at {began:%Y-%m-%d %H:%M} and did not record it ({file}): clear its "
                "task `record` in Airflow, or, if it released nothing, delete the file",
            )  # fmt: skip
