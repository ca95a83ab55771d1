"""The decision tree: what to do about a verdict, given what was done before. Pure; `actions` records the decision."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pipelines.live.drift.ledger import Account
from pipelines.live.drift.params import DecisionParams
from pipelines.runtime.errors import InputError

CLOCK_SLACK = timedelta(minutes=5)  # the clocks of two machines never agree exactly
MIN_ATTEMPT_DAYS = 7.0  # failed attempts are counted for so long also where the cooldown is shorter


@dataclass(frozen=True)
class Action:
    """What to do, and why in one sentence."""

    name: str
    reason: str
    branch: str
    retrain: bool = False
    rollback: bool = False
    page: bool = False
    alert: bool = False
    key: str | None = None


def decide(
    verdict: dict[str, Any],
    *,
    account: Account,
    params: DecisionParams,
    owner: str,
    now: datetime,
    trial: int | None = None,
) -> dict[str, Any]:
    """Return the decision on a verdict as `decisions.jsonl` records it.

    (1) A broken feed raises an alert and never a retraining. (2) Without a breach nothing happens. (3) A champion that
    fresh labels show to be worse than the one before it is rolled back, then retrained. (4) A breach leads to a
    retraining if the cooldown and the compute budget allow it; otherwise a person is paged. While version `trial`, the
    answer to an earlier breach, runs as challenger, that breach counts as answered, however long its labels take.

    Raises InputError when `now` has no time zone or the window of the verdict is not over.
    """
    if now.tzinfo is None:
        raise InputError(f"now = {now.isoformat()} has no time zone: expected one, for example UTC")
    end = date.fromisoformat(verdict["window"]["end"])
    if datetime(end.year, end.month, end.day, tzinfo=UTC) > now.astimezone(UTC) + CLOCK_SLACK:
        raise InputError(
            f"the window of {verdict['key']} ends on {end}, after now ({now.date()}): it is not over; nothing was decided"
        )
    action = choose(verdict, account=account, params=params, now=now, end=end, trial=trial)
    body = {
        "at": now.astimezone(UTC).isoformat(),
        "verdict": verdict["key"],
        "verdict_digest": verdict["digest"],
        "outcome": verdict["outcome"],
        "window": verdict["window"],
        "model_version": verdict["model_version"],
        "columns": causes(verdict) or verdict.get("persistent", []),
        "since": verdict["since"],
        "action": action.name,
        "branch": action.branch,
        "reason": action.reason,
        "owner": owner,
        "retrain": action.retrain,
        "rollback": action.rollback,
        "page": action.page,
        "alert": action.alert,
        "key": action.key,
        "minutes": params.retrain_minutes if action.retrain else 0.0,
    }
    if action.retrain:  # what the form of `retrain` takes; its start follows from the window's length
        body["request"] = {"end": verdict["window"]["end"], "key": action.key, "reason": action.reason}
    return body


def choose(
    verdict: dict[str, Any],
    *,
    account: Account,
    params: DecisionParams,
    now: datetime,
    end: date,
    trial: int | None,
) -> Action:
    """Walk the decision tree."""
    broken = [check for check in verdict["upstream"]["checks"] if check["outcome"] == "failed"]
    if broken:
        return Action(
            "alert",
            "the feed is broken, and no retraining repairs that: "
            + "; ".join(f"{c['name']}: {c['sentence']}" for c in broken),
            branch="upstream",
            alert=True,
        )
    if verdict["outcome"] != "breach":
        return _persistent(verdict, account=account, params=params, now=now) or _quiet(verdict)
    latest = account.latest
    if latest is not None and now < latest - CLOCK_SLACK:
        return Action(
            "page",
            f"the clock went back: it is {now.isoformat()}, the last decision was at {latest.isoformat()}. "
            "Nothing is triggered until the clock is correct",
            branch="clock",
            page=True,
        )
    decided = [date.fromisoformat(d["window"]["end"]) for d in account.decisions if d["kind"] == "decision"]
    if decided and end < max(decided) - timedelta(days=7):
        return Action("nothing", f"windows up to {max(decided)} were decided already; this one is older", branch="old")
    worse = verdict["concept"].get("against_previous", {}).get("outcome") == "worse"
    retrain = _retrain(verdict, account=account, params=params, now=now, trial=trial)
    if not worse or retrain.branch == "done":
        return retrain
    return Action(
        "rollback_and_retrain" if retrain.retrain else "rollback_and_page",
        "on fresh labels the champion is worse than the one before it: roll back first. " + retrain.reason,
        branch="rollback",
        retrain=retrain.retrain,
        rollback=True,
        page=retrain.page,
        key=retrain.key,
    )


def _persistent(verdict: dict[str, Any], *, account: Account, params: DecisionParams, now: datetime) -> Action | None:
    """Return a page for columns that have too few reference weeks to breach and alert for weeks, once per cooldown."""
    names = verdict.get("persistent", [])  # older verdicts lack it
    if not names:
        return None
    listed, since = ", ".join(names), verdict["since"]
    after = now - timedelta(days=params.cooldown_days)
    paged = [
        line
        for line in account.decisions
        if line["kind"] == "decision" and line["branch"] == "persistent" and line["page"]
        if line["model_version"] == verdict["model_version"] and line["columns"] == names
        if datetime.fromisoformat(line["at"]) > after
    ]
    if paged and paged[-1]["verdict"] != verdict["key"]:
        reason = f"{listed} still differ, since {since}; a person was paged on {paged[-1]['at'][:10]}"
        return Action("nothing", reason, branch="persistent")
    return Action(
        "page",
        f"{listed} differ week after week, since {since}, from a reference of too few weeks to retrain on: "
        "look at drift.html, then retrain by hand or wait",
        branch="persistent",
        page=True,
    )


def _quiet(verdict: dict[str, Any]) -> Action:
    if verdict["outcome"] == "alert":
        names = ", ".join(verdict["alerts"])
        return Action(
            "nothing",
            f"one week alone is not a breach: {names} may have drifted; the next week decides",
            branch="alert",
        )
    if why := verdict.get("nothing_yet"):  # older verdicts lack it
        return Action("nothing", why, branch="new")
    if verdict["outcome"] == "undecided":
        return Action("nothing", "undecided: too few rows or weeks; that is not 'no drift'", branch="undecided")
    return Action("nothing", "no column is beyond what other weeks show", branch="steady")


def _retrain(
    verdict: dict[str, Any], *, account: Account, params: DecisionParams, now: datetime, trial: int | None
) -> Action:
    version, names = int(verdict["model_version"]), ", ".join(causes(verdict))
    breached = f"{names} breached" + (f", since {verdict['since']}" if verdict["breaches"] else "")
    until = account.cooldown_until(days=params.cooldown_days)
    cooling = until is not None and now < until
    handled = [line for line in account.answers if line["model_version"] == version]
    if handled and (cooling or trial is not None):
        run = handled[-1]
        ended = account.outcome_of(run["key"])
        state = f"it was {ended['outcome']}" if ended else "it has not ended"
        then = (
            f"version {trial} is challenger of the champion, and its canary decides"
            if trial is not None
            else f"the next may start after {until:%Y-%m-%d %H:%M} UTC"
        )
        return Action(
            "nothing",
            f"this drift was answered already: run {run['run_id']} of {run['at'][:10]} (key {run['key']}), {state}; {then}",
            branch="done",
        )
    if cooling:
        return Action(
            "page",
            f"{names} breached, but the cooldown after the last retraining lasts until {until:%Y-%m-%d %H:%M} UTC",
            branch="cooldown",
            page=True,
        )
    counted = timedelta(days=max(params.cooldown_days, MIN_ATTEMPT_DAYS))
    failures = account.failures(version, after=now - counted)
    if len(failures) >= params.max_attempts:
        last = failures[-1]
        again = datetime.fromisoformat(failures[-params.max_attempts]["at"]) + counted
        return Action(
            "page",
            f"{breached}, and {len(failures)} retrainings for it ended without an answer, the last as run "
            f"{last['run_id']}: {last['outcome']}{_because(last)}. Repair that and retrain by hand; the next one starts "
            f"after {again:%Y-%m-%d %H:%M} UTC",
            branch="attempts",
            page=True,
        )
    month = now.strftime("%Y-%m")
    left = account.minutes_left(month=month, allowed=params.max_minutes_per_month)
    if left < params.retrain_minutes:
        return Action(
            "page",
            f"{names} breached, but a retraining takes {params.retrain_minutes:g} minutes and {max(left, 0):g} of the "
            f"budget of {month} are left: approve more with `python -m pipelines drift approve`",
            branch="budget",
            page=True,
        )
    proposed = account.open_proposal(version)
    key = proposed["key"] if proposed else trigger_key(verdict, model=account.model, attempt=account.attempts(version))
    before = f" (attempt {len(failures) + 1} of {params.max_attempts})" if failures else ""
    return Action(
        "retrain",
        f"{breached}: retrain on the window that ends {verdict['window']['end']}{before}",
        branch="breach",
        retrain=True,
        key=key,
    )


def _because(ended: dict[str, Any]) -> str:
    return f" ({ended['why']})" if ended["why"] else ""


def causes(verdict: dict[str, Any]) -> list[str]:
    """Return what breached, in order: columns, and `labels` if the champion is less accurate than at release."""
    worse = verdict["concept"]["against_release"]["outcome"] == "worse"
    return [*sorted(verdict["breaches"]), *(["labels"] if worse else [])]


def trigger_key(verdict: dict[str, Any], *, model: str, attempt: int) -> str:
    """Return one key per cause: model and version, columns, first breaching week, and retrainings that did not help."""
    cause: Sequence[Any] = [model, verdict["model_version"], causes(verdict), verdict["since"], attempt]
    return hashlib.sha256(json.dumps(cause).encode()).hexdigest()[:16]
