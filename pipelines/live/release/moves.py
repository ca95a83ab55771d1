"""The moves of the champion alias: apply an open decision, end a canary, and roll back to the last champion."""

from __future__ import annotations

import logging
from typing import Any

from pipelines.gates.status import require_open
from pipelines.live.release import history
from pipelines.live.release.decision import count_decision, read_decision
from pipelines.live.release.package import read_manifest
from pipelines.live.release.params import ReleaseParams
from pipelines.live.release.registration import register_candidate
from pipelines.live.release.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from pipelines.runtime.errors import GateClosed, InputError
from pipelines.runtime.project import Project
from pipelines.runtime.signing import MAKE_KEY, VARIABLE
from pipelines.runtime.state import append_line, locked
from pipelines.runtime.store import file_digest

logger = logging.getLogger(__name__)

MIN_REASON = 5  # letters of a rollback's reason


def apply(project: Project, registry: Registry, *, again: bool = False) -> dict[str, Any]:
    """Carry out the decision in `data/promote/`; a second call moves nothing.

    Returns {"action", "version", "reason", ...}. Raises GateClosed when promote refused or compared with another
    champion than the present one, InputError when an artifact is not the one that was decided on or the pre-flight
    fails; the alias has not moved then. With `again`, a version that was rolled back may be released once more.
    """
    decision = read_decision(project)
    with locked(registry.state / "release"):
        reconcile(registry)
        count_decision(registry.state, registry.model_name, decision)
        old = registry.alias(CHAMPION)
        if decision["action"] != "release":
            return {"action": decision["action"], "version": old, "reason": decision["reason"]}
        require_open(project.store, "promote")
        version = registry.version_of(decision["model_digest"])
        _require_present_champion(decision, champion=old, version=version)
        if version is not None and version != old and not again and (reason := _rolled_back(registry, version)):
            return {"action": "keep", "version": old, "reason": reason}
        preflight: dict[str, Any] = {}
        if version is None:
            version, preflight = register_candidate(project, registry, decision)
        else:
            registry.package(version)  # refuses a version whose files were changed
            logger.info("this candidate is version %s already", version)
        if old is not None and old != version and project.section("release", ReleaseParams).through_canary:
            return _challenge(registry, version=version, champion=old, reason=decision["reason"])
        if old != version:
            move_champion(registry, old=old, new=version, action="release", reason=decision["reason"])
        result = {"action": "release", "version": version, "previous": old, "moved": old != version}
        return {**result, "reason": decision["reason"], "preflight": preflight}


def _require_present_champion(decision: dict[str, Any], *, champion: int | None, version: int | None) -> None:
    """Refuse a decision that compared with another champion than the one that it would replace."""
    pinned = (decision.get("champion") or {}).get("version")
    if champion != pinned and (version is None or champion != version):
        against, now = (f"champion version {found}" if found else "no champion" for found in (pinned, champion))
        raise GateClosed(
            f"promote compared the candidate with {against}, but the registry has {now} now; nothing was released. "
            "Run again: it pins the present champion first"
        )


def _rolled_back(registry: Registry, version: int) -> str | None:
    """Return why a version is not released again, or None when it was not rolled back."""
    move = history.rolled_back(registry.history(), version=version)
    if move is None:
        return None
    return (
        f"version {version} is the same candidate, and it was rolled back ({move['why']}); "
        "only `python -m pipelines apply --again` releases it once more"
    )


def _challenge(registry: Registry, *, version: int, champion: int, reason: str) -> dict[str, Any]:
    """Make a version challenger; one whose canary was stopped before is not tried again."""
    if registry.is_stopped(version):
        why = f"version {version} is the same candidate, and its canary was stopped; it is not tried again"
        return {"action": "keep", "version": champion, "reason": why}
    registry.move_alias(CHALLENGER, version)
    logger.info("version %s is challenger of champion %s; its canary decides", version, champion)
    return {"action": "challenge", "version": version, "previous": champion, "reason": reason}


def rollback(registry: Registry, *, reason: str) -> dict[str, Any]:
    """Point the champion alias to the champion before the present one, after checking all of its files.

    Raises InputError when the reason is too short, no earlier champion exists, or one of its files was changed.
    """
    if len(reason.strip()) < MIN_REASON:
        raise InputError(f"invalid reason {reason!r}: a rollback needs at least {MIN_REASON} letters")
    with locked(registry.state / "release"):
        reconcile(registry)
        line = history.champions(registry.history())
        if len(line) < 2:
            raise InputError(f"no champion before version {line[0]}" if line else "no champion yet")
        old, new = line[-1], line[-2]
        revision = read_manifest(registry.package(new))["git_commit"]
        move_champion(registry, old=old, new=new, action="rollback", reason=reason)
        return {"action": "rollback", "version": new, "previous": old, "revision": revision, "reason": reason}


def complete_canary(registry: Registry, *, version: int, reason: str) -> dict[str, Any]:
    """Make the challenger champion because its canary was not worse; for any other version nothing changes."""
    with locked(registry.state / "release"):
        reconcile(registry)
        old = registry.alias(CHAMPION)
        if registry.alias(CHALLENGER) != version or old == version:
            return {"action": "none", "version": old, "reason": f"version {version} is not the challenger now"}
        registry.package(version)
        move_champion(registry, old=old, new=version, action="release", reason=reason)
        return {"action": "release", "version": version, "previous": old, "moved": True, "reason": reason}


def stop_canary(registry: Registry, *, version: int, reason: str) -> dict[str, Any]:
    """Remove the challenger because its canary was worse; the champion answers everything again."""
    with locked(registry.state / "release"):
        if registry.alias(CHALLENGER) != version:
            return {"action": "none", "version": registry.alias(CHAMPION), "reason": "it is not the challenger now"}
        registry.drop_alias(CHALLENGER)
        registry.mark_stopped(version)
        record = {"model": registry.model_name, "version": version, "why": reason}
        append_line(registry.state / "canaries.jsonl", record)
        logger.warning("canary of version %s stopped: %s", version, reason)
        return {"action": "stop", "version": version, "reason": reason}


def restore(registry: Registry) -> dict[str, Any]:
    """Point the champion alias to the version that the last line of the history names, after checking its files.

    Raises InputError when the history is empty, or a file of the version was changed.
    """
    with locked(registry.state / "release"):
        moves = registry.history()
        if not moves:
            raise InputError(
                f"the history of {registry.model_name} has no line, so no champion can be restored; restore the file "
                f"{history.history_file(registry.state)} from its backup"
            )
        old, new = registry.aliases().get(CHAMPION), moves[-1]["to"]
        registry.package(new)
        if old != new:
            registry.move_alias(CHAMPION, new)
            append_line(
                registry.state / "restored.jsonl",
                {"model": registry.model_name, "from": old, "to": new, "who": registry.actor},
            )
        _settle(registry, champion=new)
        registry.note_head(moves)
        return {"action": "restore", "version": new, "previous": old, "moved": old != new}


def sign(registry: Registry) -> dict[str, Any]:
    """Sign the history and the versions of the aliases, all of which were written without this key.

    The signature of the last line protects the lines before it. Raises InputError without a private key, or when alias
    and history differ.
    """
    key = registry.key
    if key is None or key.private is None:
        raise InputError(f"{VARIABLE} names no private key; {MAKE_KEY}")
    with locked(registry.state / "release"):
        signed = registry.sign_versions()
        history.sign_last(registry.state, key=key)
        registry.require_recorded(registry.champion())
        return {"action": "sign", "versions": signed}


def reconcile(registry: Registry) -> None:
    """Finish an interrupted move: write the line that is missing, then move the other aliases."""
    moves = registry.history()
    alias = registry.alias(CHAMPION)
    known = moves[-1]["to"] if moves else None
    if alias is None:
        return
    if alias != known:
        registry.require_recorded(alias)  # with a key, a move without a signed line does not count
        logger.warning("history: version %s became champion without a line; writing it now", alias)
        action = "rollback" if alias in history.champions(moves)[:-1] else "release"
        reason = "recovered: the alias moved without a line: an interrupted move, or one by hand"
        _record(registry, old=known, new=alias, action=action, reason=reason, evidence=_evidence(registry, alias))
    _settle(registry, champion=alias)


def move_champion(registry: Registry, *, old: int | None, new: int, action: str, reason: str) -> None:
    """Move the champion alias, then write the line; `reconcile` repairs what a crash leaves in between."""
    evidence = _evidence(registry, new)
    registry.move_alias(CHAMPION, new)
    _record(registry, old=old, new=new, action=action, reason=reason, evidence=evidence)
    _settle(registry, champion=new)
    logger.info("%s: champion %s -> %s", action, old, new)


def _record(registry: Registry, *, old: int | None, new: int, action: str, reason: str, evidence: Any) -> None:
    move = {"model": registry.model_name, "action": action, "from": old, "to": new, "why": reason}
    history.append_move(registry.state, {**move, "who": registry.actor, "evidence": evidence}, key=registry.key)
    registry.note_head(registry.history())


def _settle(registry: Registry, *, champion: int) -> None:
    """Move the other aliases: `previous` is where a rollback goes, and the champion is not its own challenger."""
    line = history.champions(registry.history())
    previous = line[-2] if len(line) > 1 else None
    if previous is None:
        registry.drop_alias(PREVIOUS)
    elif registry.alias(PREVIOUS) != previous:
        registry.move_alias(PREVIOUS, previous)
    if registry.alias(CHALLENGER) == champion:
        registry.drop_alias(CHALLENGER)


def _evidence(registry: Registry, version: int) -> dict[str, Any]:
    """Return the digests that a line of the history names for a version."""
    package = registry.package(version)
    manifest = read_manifest(package)
    return {
        "manifest": file_digest(package / "manifest.json"),
        "git_commit": manifest["git_commit"],
        "dvc_lock": manifest["dvc_lock"],
        "model_digest": manifest["model_digest"],
    }
