"""The two moves of the champion alias: apply an open decision, and roll back to the last champion."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.gates.status import require_open
from pipelines.gates.verdict import Verdict
from pipelines.live.release import history
from pipelines.live.release.package import build_package, read_manifest
from pipelines.live.release.preflight import BATCHES, checks_of, compare_answers, load_model, measure, save_model
from pipelines.live.release.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from pipelines.runtime.errors import GateClosed, InputError
from pipelines.runtime.params import read_yaml
from pipelines.runtime.project import Project
from pipelines.runtime.state import append_line, home, locked, read_lines
from pipelines.runtime.store import DATA, Store, file_digest

if TYPE_CHECKING:
    from pipelines.live.release.params import ReleaseParams
    from pipelines.records.domain import Domain

logger = logging.getLogger(__name__)


def apply(
    registry: Registry, *, domain: Domain, params: ReleaseParams, root: Path, again: bool = False
) -> dict[str, Any]:
    """Carry out the decision in `data/promote/`; a second time nothing moves.

    Returns {"action", "version", "reason", ...}. Raises GateClosed when promote refused or decided against another
    champion than the present one, InputError when an artifact is not the one that was decided on or the pre-flight
    fails; the alias has not moved then. `again`: release a version that was rolled back once more.
    """
    decision = read_decision(root)
    with locked(home() / "release"):
        reconcile(registry)
        count_decision(registry.model_name, decision)
        if decision["action"] != "release":
            return {"action": decision["action"], "version": registry.alias(CHAMPION), "reason": decision["reason"]}
        require_open(Store(root / "data"), "promote")
        version = registry.version_of(decision["model_digest"])
        old = registry.alias(CHAMPION)
        _require_present_champion(decision, champion=old, version=version)
        if version is not None and version != old and not again:
            line = history.taken_back(history.read_history(registry.model_name), version=version)
            if line is not None:
                reason = (
                    f"version {version} is this very candidate, and it was rolled back ({line['why']}); "
                    "it comes back only by `python -m pipelines.live.release apply --again`"
                )
                return {"action": "keep", "version": old, "reason": reason}
        preflight: dict[str, Any] = {}
        if version is None:
            version, preflight = _register(registry, decision, domain=domain, params=params, root=root)
        else:
            registry.package(version)  # refuses a version whose files were touched
            logger.info("this candidate is version %s already", version)
        if params.through_canary and old is not None and old != version:
            if registry.is_stopped(version):
                reason = f"version {version} is this very candidate, and its canary was stopped; it is not tried again"
                return {"action": "keep", "version": old, "reason": reason}
            registry.move_alias(CHALLENGER, version)
            logger.info("version %s is challenger beside champion %s; its canary decides", version, old)
            return {"action": "challenge", "version": version, "previous": old, "reason": decision["reason"]}
        if old != version:
            _move(registry, old=old, new=version, action="release", reason=decision["reason"])
        return {
            "action": "release",
            "version": version,
            "previous": old,
            "moved": old != version,
            "reason": decision["reason"],
            "preflight": preflight,
        }


def _require_present_champion(decision: dict[str, Any], *, champion: int | None, version: int | None) -> None:
    """Refuse a decision that compared with another champion than the one that it would replace."""
    pinned = (decision.get("champion") or {}).get("version")
    if champion != pinned and (version is None or champion != version):
        against, now = (f"champion version {found}" if found else "no champion" for found in (pinned, champion))
        raise GateClosed(
            f"promote compared the candidate with {against}, and there is {now} now; nothing was released. "
            "Run again: it pins the present champion first"
        )


def rollback(registry: Registry, *, reason: str) -> dict[str, Any]:
    """Point the champion alias at the last champion before the present one, after checking all of its files."""
    if len(reason.strip()) < 5:
        raise InputError(f"a rollback needs a reason of five letters or more; found {reason!r}")
    with locked(home() / "release"):
        reconcile(registry)
        line = history.champions(history.read_history(registry.model_name))
        if len(line) < 2:
            raise InputError(f"there is no champion before version {line[0]}" if line else "there is no champion yet")
        old, new = line[-1], line[-2]
        revision = read_manifest(registry.package(new))["git_commit"]
        _move(registry, old=old, new=new, action="rollback", reason=reason)
        return {"action": "rollback", "version": new, "previous": old, "revision": revision, "reason": reason}


def complete_canary(registry: Registry, *, version: int, reason: str) -> dict[str, Any]:
    """Make the challenger champion, because its canary was not worse; nothing happens when it is no challenger now."""
    with locked(home() / "release"):
        reconcile(registry)
        old = registry.alias(CHAMPION)
        if registry.alias(CHALLENGER) != version or old == version:
            return {"action": "none", "version": old, "reason": f"version {version} is no challenger now"}
        registry.package(version)
        _move(registry, old=old, new=version, action="release", reason=reason)
        return {"action": "release", "version": version, "previous": old, "moved": True, "reason": reason}


def stop_canary(registry: Registry, *, version: int, reason: str) -> dict[str, Any]:
    """Take the challenger back, because its canary was worse; the champion answers everything again."""
    with locked(home() / "release"):
        if registry.alias(CHALLENGER) != version:
            return {"action": "none", "version": registry.alias(CHAMPION), "reason": "it is no challenger now"}
        registry.drop_alias(CHALLENGER)
        registry.mark_stopped(version)
        append_line(home() / "canaries.jsonl", {"model": registry.model_name, "version": version, "why": reason})
        logger.warning("canary of version %s stopped: %s", version, reason)
        return {"action": "stop", "version": version, "reason": reason}


def reconcile(registry: Registry) -> None:
    """Finish an interrupted move: the line that it left out, then the aliases beside the champion's."""
    moves = history.read_history(registry.model_name)
    alias = registry.alias(CHAMPION)
    known = moves[-1]["to"] if moves else None
    if alias is None:
        return
    if alias == known:
        _settle(registry, champion=alias)
        return
    line = history.champions(moves)
    action = "rollback" if alias in line[:-1] else "release"
    logger.warning("history: version %s became champion without a line; writing it now", alias)
    history.record_move(
        model_name=registry.model_name,
        action=action,
        old=known,
        new=alias,
        reason="recovered: the alias moved without a line: an interrupted move, or one by hand",
        evidence=_evidence(registry, alias),
    )
    _settle(registry, champion=alias)


def read_decision(root: Path) -> dict[str, Any]:
    """The decision of `promote`; GateClosed when there is none, it cannot be read, or it was edited."""
    file = root / DATA / "promote" / "decision.json"
    try:
        decision = json.loads(file.read_text(encoding="utf-8"))
        for key in ("action", "candidate", "reason", "model_digest"):
            decision[key]
    except FileNotFoundError:
        raise GateClosed(f"{file} is missing: nothing was decided; run `dvc repro`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise GateClosed(f"{file} is broken ({error!r}); run `dvc repro -f -s promote`") from None
    if decision["action"] not in ("release", "keep", "refuse"):
        raise GateClosed(f"{file}: action = {decision['action']!r}; release, keep or refuse would be right")
    _require_as_written(file, root=root)
    return dict(decision)


def _require_as_written(file: Path, *, root: Path) -> None:
    """Refuse a decision that is not the one DVC saw `promote` write; without a lock file there is nothing to ask."""
    if not (root / "dvc.lock").exists():
        return
    import hashlib

    written = read_yaml(root / "dvc.lock").get("stages", {}).get("promote", {}).get("outs", [])
    known = {out["path"]: out["md5"] for out in written}
    found = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    if known.get(file.relative_to(root).as_posix()) != found:
        raise GateClosed(
            f"{file} is not what `promote` wrote (dvc.lock has another digest): edited, or of another run; "
            "run `dvc repro`"
        )


def count_decision(model_name: str, decision: dict[str, Any]) -> None:
    """Count each different comparison once: a test set says how many decisions it has been used for."""
    champion = (decision.get("champion") or {}).get("version")
    record = {"model": model_name, "candidate": decision["model_digest"], "champion": champion}
    file = home() / "decisions_made.jsonl"
    if record not in read_lines(file):
        append_line(file, record)


def decisions_made(model_name: str) -> int:
    """How many different decisions were made about this model so far."""
    return sum(line["model"] == model_name for line in read_lines(home() / "decisions_made.jsonl"))


def _register(
    registry: Registry, decision: dict[str, Any], *, domain: Domain, params: ReleaseParams, root: Path
) -> tuple[int, dict[str, Any]]:
    """Package, pre-flight and register the candidate; returns its version and the pre-flight."""
    from pipelines.live.release.audit import audit_retraining
    from pipelines.monitoring.live_state import live_folder
    from pipelines.runtime.params import section
    from pipelines.runtime.store import Store

    max_share = float(section("drift", root)["decision"]["most_self_labeled"])
    feedback = audit_retraining(Store(root / DATA), live_folder(Project.open(root)), max_share=max_share)
    staging = home() / "staging" / str(decision["model_digest"])[:16]
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        package, saved = staging / "package", staging / "model"
        package.mkdir()
        logger.info("packaging %s with its encoder, profile and evidence", decision["candidate"])
        manifest = build_package(
            package,
            decision=decision,
            schema=domain.schema,
            root=root,
            models_folder=Project.open(root).models_folder,
        )
        features = {feature.name: feature.kind for feature in domain.schema.features}
        save_model(package, saved, root=root, features=features)
        logger.info("pre-flight: loading the model as it will be served and keeping it under load")
        preflight = fly(saved, domain=domain, params=params, root=root, candidate=decision["candidate"])
        tags = {
            "candidate": str(decision["candidate"]),
            "git_commit": str(manifest["git_commit"]),
            "dvc_lock": str(manifest["dvc_lock"]),
            "domain": domain.schema.name,
            "preflight": json.dumps(preflight["figures"], sort_keys=True),
            "feedback": json.dumps(feedback, sort_keys=True),
        }
        version = registry.register(saved, candidate_digest=decision["model_digest"], tags=tags)
        logger.info("registered version %s of %s", version, registry.model_name)
        return version, preflight
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def fly(saved: Path, *, domain: Domain, params: ReleaseParams, root: Path, candidate: str) -> dict[str, Any]:
    """Run the pre-flight on recent records; GateClosed names the check that failed."""
    import numpy as np
    import pandas as pd

    split = pd.read_parquet(root / DATA / "split" / "records.parquet")
    predictions = pd.read_parquet(root / DATA / "evaluate" / "predictions.parquet")
    predictions = predictions[(predictions["part"] == "recent") & (predictions["candidate"] == candidate)]
    if predictions.empty:
        raise InputError(f"pre-flight: evaluate predicted no recent gold row with {candidate}; nothing was released")
    labels = list(domain.schema.labels)
    answers = predictions[[f"p_{label}" for label in labels]].to_numpy()
    others = int(
        (predictions["label"].to_numpy(object) != np.array(labels, dtype=object)[answers.argmax(axis=1)]).sum()
    )
    if others:
        raise GateClosed(
            f"pre-flight: data/evaluate/predictions.parquet names another label than its probabilities for {others} of "
            f"{len(predictions)} recent rows of {candidate}: it was edited; nothing was registered"
        )
    records = split.merge(predictions[["id"]], on="id").sort_values("id").head(256).reset_index(drop=True)
    expected = predictions.set_index("id").loc[records["id"].tolist()]
    records = records[["text", *(feature.name for feature in domain.schema.features)]]
    model = load_model(saved)
    same, difference = compare_answers(
        model.predict(records), expected=expected[[f"p_{label}" for label in labels]].to_numpy(), labels=labels
    )
    figures = {
        name: measure(model, records, batch=batch, seconds=params.preflight_seconds, clients=params.preflight_clients)
        for name, batch in BATCHES.items()
    }
    limits = {"single": params.p95_single_ms_at_most, "batch": params.p95_batch_ms_at_most}
    verdict = Verdict.of(
        "preflight", checks_of(figures, limits=limits, same=same, difference=difference, rows=len(records))
    )
    if not verdict.passed:
        closed = "; ".join(check.describe() for check in verdict.closed_by)
        raise GateClosed(f"pre-flight failed, nothing was registered: {closed}")
    return {"figures": figures, "verdict": verdict.to_dict()}


def _move(registry: Registry, *, old: int | None, new: int, action: str, reason: str) -> None:
    """Move the champion alias, then write the line; `reconcile` mends what a crash leaves between."""
    evidence = _evidence(registry, new)
    registry.move_alias(CHAMPION, new)
    history.record_move(
        model_name=registry.model_name,
        action=action,
        old=old,
        new=new,
        reason=reason,
        evidence=evidence,
    )
    _settle(registry, champion=new)
    logger.info("%s: champion %s -> %s", action, old, new)


def _settle(registry: Registry, *, champion: int) -> None:
    """Let the other aliases follow: `previous` is where a rollback goes, and a champion is no challenger."""
    line = history.champions(history.read_history(registry.model_name))
    previous = line[-2] if len(line) > 1 else None
    if previous is None:
        registry.drop_alias(PREVIOUS)
    elif registry.alias(PREVIOUS) != previous:
        registry.move_alias(PREVIOUS, previous)
    if registry.alias(CHALLENGER) == champion:
        registry.drop_alias(CHALLENGER)


def _evidence(registry: Registry, version: int) -> dict[str, Any]:
    package = registry.package(version)
    manifest = read_manifest(package)
    return {
        "manifest": file_digest(package / "manifest.json"),
        "git_commit": manifest["git_commit"],
        "dvc_lock": manifest["dvc_lock"],
        "model_digest": manifest["model_digest"],
    }
