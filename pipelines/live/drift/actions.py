"""Decide on a verdict and record what follows: decisions, triggered retrainings, minutes spent and approved."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from pipelines.live.drift import decision_tree, ledger
from pipelines.live.drift.files import drift_lock, latest_key, read_verdict, verdict_folder, write_page
from pipelines.live.drift.params import DriftParams
from pipelines.monitoring.live_state import live_folder
from pipelines.runtime.errors import InputError, ParamsError
from pipelines.runtime.params import PARAMS_FILE
from pipelines.runtime.project import Project
from pipelines.runtime.state import write_atomic
from pipelines.runtime.store import to_json

logger = logging.getLogger(__name__)


def decide(project: Project, key: str | None, *, now: datetime) -> dict[str, Any]:
    """Walk the decision tree for a verdict (default: the latest), record the decision and show it on the page."""
    params, live = project.section("drift", DriftParams), live_folder(project)
    with drift_lock(live, seconds=params.lock_seconds):
        folder = verdict_folder(live, key or latest_key(live))
        verdict = read_verdict(folder / "verdict.json")
        account = ledger.Account.read(live)
        decision = decision_tree.decide(
            verdict,
            account=account,
            params=params.decision,
            owner=owner_of(project),
            now=now,
            trial=_in_trial(project, verdict, account=account),
        )
        recorded = ledger.record_decision(decision, account=account)
        write_atomic(folder / "decision.json", to_json(recorded))
        write_page(folder, verdict, decision=recorded, alarm=params.alarm)
    logger.info("%s: %s: %s", verdict["key"], recorded["action"], recorded["reason"])
    return recorded


def confirm(project: Project, key: str, *, run_id: str, now: datetime) -> dict[str, Any]:
    """Record that the retraining of a key was triggered as run `run_id`; the cooldown starts now."""
    if not run_id:
        raise InputError("--run-id is missing: expected the id of the run that was triggered")
    params, live = project.section("drift", DriftParams), live_folder(project)
    with drift_lock(live, seconds=params.lock_seconds):
        account = ledger.Account.read(live)
        return ledger.confirm(key, run_id=run_id, now=now, minutes=params.decision.retrain_minutes, account=account)


def settle(
    project: Project, key: str, *, minutes: float | None, now: datetime, ended: ledger.Ended | None = None
) -> dict[str, Any]:
    """Record how the retraining of a key ended, and how many minutes it took.

    A run that ends before its trigger was confirmed is confirmed first: it exists.
    """
    params, live = project.section("drift", DriftParams), live_folder(project)
    with drift_lock(live, seconds=params.lock_seconds):
        account = ledger.Account.read(live)
        if ended and account.run_of(key) is None:
            expected = params.decision.retrain_minutes
            ledger.confirm(key, run_id=ended.run_id, now=now, minutes=expected, account=account)
            account = ledger.Account.read(live)
        return ledger.settle(key, minutes=minutes, now=now, account=account, ended=ended)


def open_runs(project: Project) -> dict[str, Any]:
    """Return the retrainings of which nothing states how they ended, and for how long they may wait and run."""
    decision = project.section("drift", DriftParams).decision
    limits = {"max_queued_hours": decision.max_queued_hours, "max_running_hours": decision.max_running_hours}
    return {"open": ledger.Account.read(live_folder(project)).open_runs, **limits}


def approve(project: Project, *, minutes: float, month: str | None, who: str, now: datetime) -> dict[str, Any]:
    """Approve more minutes of retraining for a month "YYYY-MM" (default: the month of `now`)."""
    live = live_folder(project)
    with drift_lock(live, seconds=project.section("drift", DriftParams).lock_seconds):
        return ledger.approve(live, minutes=minutes, month=month or now.strftime("%Y-%m"), who=who, now=now)


def owner_of(project: Project) -> str:
    """Return `params.yaml: owner`, the address that alerts and pages name; ParamsError when it is missing."""
    owner = project.parameters.ours.get("owner")
    if not isinstance(owner, str) or not owner:
        raise ParamsError(f"{PARAMS_FILE}: invalid owner = {owner!r}: expected an address that alerts reach")
    return owner


def _in_trial(project: Project, verdict: dict[str, Any], *, account: ledger.Account) -> int | None:
    """Return the challenger of the verdict's champion that a retraining for that champion released, or None."""
    version = int(verdict["model_version"])
    if verdict["outcome"] != "breach" or not account.attempts(version):
        return None
    from pipelines.live.release.registry import CHALLENGER, CHAMPION, Registry

    registry = Registry.open(project)
    if registry.alias(CHAMPION) != version:
        return None
    return account.challenger_of(version, challenger=registry.alias(CHALLENGER))
