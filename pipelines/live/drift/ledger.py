"""What was decided, run, achieved and spent for a registered model: two append-only files, read as one account."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.runtime.errors import InputError
from pipelines.runtime.state import append_line, read_lines, verify_chain

Line = dict[str, Any]
OUTCOMES = ("released", "kept", "refused", "failed", "never_started")
UNANSWERED = ("failed", "never_started")  # outcomes after which the drift has had no answer


def decisions_file(live: Path) -> Path:
    """Return the hash-chained file of decisions, of the runs that they started, and of how these ended."""
    return live / "decisions.jsonl"


def budget_file(live: Path) -> Path:
    """Return the file of approved and spent minutes."""
    return live / "budget.jsonl"


@dataclass(frozen=True)
class Account:
    """Everything that the decision tree needs to remember."""

    live: Path  # live folder of the registered model
    decisions: tuple[Line, ...]
    budget: tuple[Line, ...]

    @classmethod
    def read(cls, live: Path) -> "Account":
        """Read the account in a live folder; StoreError when the chain of decisions was tampered with."""
        return cls(live, tuple(verify_chain(decisions_file(live))), tuple(read_lines(budget_file(live))))

    @property
    def model(self) -> str:
        """Name of the registered model, which is the name of its live folder."""
        return self.live.name

    @property
    def latest(self) -> datetime | None:
        """Latest time in any decision, or None."""
        return max((datetime.fromisoformat(line["at"]) for line in self.decisions), default=None)

    @property
    def runs(self) -> list[Line]:
        """Confirmed retrainings, oldest first."""
        return [line for line in self.decisions if line["kind"] == "confirmed"]

    def run_of(self, key: str) -> Line | None:
        """Return the confirmed run of a key, or None."""
        return next((line for line in self.runs if line["key"] == key), None)

    def open_proposal(self, model_version: int) -> Line | None:
        """Return the retraining that was proposed for this version and not yet confirmed, or None."""
        confirmed = {line["key"] for line in self.runs}
        proposals = [line for line in self.decisions if line["kind"] == "decision" and line["retrain"]]
        return next(
            (p for p in reversed(proposals) if p["model_version"] == model_version and p["key"] not in confirmed), None
        )

    def outcome_of(self, key: str) -> Line | None:
        """Return how the run of a key ended, as known last, or None: a cleared run may end a second time."""
        return next(
            (line for line in reversed(self.decisions) if line["kind"] == "outcome" and line["key"] == key), None
        )

    @property
    def open_runs(self) -> list[Line]:
        """Confirmed retrainings of which nothing states how they ended, oldest first."""
        return [line for line in self.runs if self.outcome_of(line["key"]) is None]

    @property
    def answers(self) -> list[Line]:
        """Confirmed retrainings that have answered their drift or still may: all except failed and unstarted ones."""
        return [line for line in self.runs if (self.outcome_of(line["key"]) or line).get("outcome") not in UNANSWERED]

    def failures(self, model_version: int, *, after: datetime) -> list[Line]:
        """Return how retrainings of a version ended that failed or never started after a time, oldest first."""
        ended = [self.outcome_of(line["key"]) for line in self.runs if line["model_version"] == model_version]
        return [
            line
            for line in ended
            if line and line["outcome"] in UNANSWERED and datetime.fromisoformat(line["at"]) > after
        ]

    def challenger_of(self, model_version: int, *, challenger: int | None) -> int | None:
        """Return the challenger when a retraining that this version caused released it, else None."""
        released = [
            (self.outcome_of(line["key"]) or {}) for line in self.runs if line["model_version"] == model_version
        ]
        versions = {line.get("version") for line in released if line.get("outcome") == "released"}
        return challenger if challenger in versions else None

    def answered(self, window_end: date) -> date | None:
        """Return the first day of the drift that a retraining on the window with that end answered, or None."""
        begun = {line["key"] for line in self.answers}
        since = [
            line["since"]
            for line in self.decisions
            if line["kind"] == "decision" and line["key"] in begun and line["window"]["end"] == window_end.isoformat()
        ]
        return date.fromisoformat(since[-1]) if since and since[-1] else None

    def last_run(self) -> Line | None:
        """Return the latest retraining of any version that did not fail, or None: all versions share one cooldown."""
        return max(self.answers, key=lambda line: str(line["at"]), default=None)

    def attempts(self, model_version: int) -> int:
        """Return how many retrainings this version has caused."""
        return sum(line["model_version"] == model_version for line in self.runs)

    def cooldown_until(self, *, days: float) -> datetime | None:
        """Return when the next retraining may start, or None before the first."""
        last = self.last_run()
        return datetime.fromisoformat(last["at"]) + timedelta(days=days) if last else None

    def minutes_left(self, *, month: str, allowed: float) -> float:
        """Return the minutes left in a month: pre-approved, plus approved later, minus spent."""
        lines = [line for line in self.budget if line["month"] == month]
        approved = sum(float(line["minutes"]) for line in lines if line["kind"] == "approved")
        spent: dict[str, float] = {}
        for line in lines:
            if line["kind"] in ("reserved", "settled"):  # the minutes it took replace the expected ones
                spent[line["key"]] = float(line["minutes"])
        return allowed + approved - sum(spent.values())


def record_decision(decision: Line, *, account: Account) -> Line:
    """Append a decision, unless the last one about the same verdict is the same: a task may run twice."""
    same = ("verdict_digest", "action", "key", "retrain", "rollback", "page", "alert")
    earlier = [
        line for line in account.decisions if line["kind"] == "decision" and line["verdict"] == decision["verdict"]
    ]
    if earlier and all(earlier[-1][name] == decision[name] for name in same):
        return earlier[-1]
    return append_line(decisions_file(account.live), {"kind": "decision", **decision}, chained=True)


def confirm(key: str, *, run_id: str, now: datetime, minutes: float, account: Account) -> Line:
    """Record that the retraining of a key was triggered, and reserve its minutes; a second call changes nothing.

    Call it *after* the trigger: if the cooldown were written first, a crash in between would lose the retraining.
    Raises InputError for a key that no decision proposed.
    """
    proposal = next((line for line in account.decisions if line["kind"] == "decision" and line["key"] == key), None)
    if proposal is None or not proposal["retrain"]:
        known = sorted({line["key"] for line in account.decisions if line.get("retrain")})
        raise InputError(f"no retraining with key {key!r} was decided: expected one of {', '.join(known) or 'none'}")
    if not any(line["key"] == key for line in account.budget):
        reserved = {"kind": "reserved", "month": _month(now), "key": key, "minutes": minutes, "at": now.isoformat()}
        append_line(budget_file(account.live), reserved)
    found = account.run_of(key)
    if found is not None:
        return found
    latest = account.latest
    at = max(now, latest) if latest else now  # a clock that went back does not shorten the cooldown
    line = {
        "kind": "confirmed",
        "key": key,
        "run_id": run_id,
        "model_version": proposal["model_version"],
        "at": at.isoformat(),
    }
    return append_line(decisions_file(account.live), line, chained=True)


@dataclass(frozen=True)
class Ended:
    """How a retraining ended; `checked` when it was not the run itself that reported it."""

    outcome: str
    run_id: str
    version: int | None = None  # that it registered
    why: str = ""
    checked: bool = False


def settle(key: str, *, minutes: float | None, now: datetime, account: Account, ended: Ended | None = None) -> Line:
    """Record how a run ended, and replace its expected minutes by those it took (None: they are not known).

    Raises InputError for an unknown key or outcome, or negative minutes. A second call with the same outcome changes
    nothing, nor does a check of a run that has reported its own outcome.
    """
    reserved = next((line for line in account.budget if line["key"] == key), None)
    if reserved is None:
        raise InputError(f"no run with key {key!r} is in {budget_file(account.live)}; confirm it first")
    if minutes is not None and minutes < 0:
        raise InputError(f"invalid minutes = {minutes}: expected 0 or more")
    known = account.outcome_of(key)
    if ended and known and (ended.checked or (known["outcome"], known["version"]) == (ended.outcome, ended.version)):
        return known
    line: Line = {"key": key, "at": max(filter(None, (now, account.latest))).isoformat()}
    if ended:
        if ended.outcome not in OUTCOMES:
            raise InputError(f"invalid outcome = {ended.outcome!r}: expected one of {', '.join(OUTCOMES)}")
        if ended.outcome == "never_started":
            minutes = 0.0
        facts: Line = {"outcome": ended.outcome, "run_id": ended.run_id, "version": ended.version}
        facts |= {"why": ended.why, "checked": ended.checked, "minutes": minutes}
        line = append_line(decisions_file(account.live), {"kind": "outcome", **line, **facts}, chained=True)
    if minutes is not None:
        spent = {"kind": "settled", "month": reserved["month"], "key": key, "minutes": minutes, "at": now.isoformat()}
        written = append_line(budget_file(account.live), spent)
        return line if ended else written
    return line


def approve(live: Path, *, minutes: float, month: str, who: str, now: datetime) -> Line:
    """Approve more minutes for a month; InputError unless there are more than 0."""
    if minutes <= 0:
        raise InputError(f"invalid minutes = {minutes}: expected more than 0")
    line = {"kind": "approved", "month": month, "key": f"approved by {who}", "minutes": minutes, "at": now.isoformat()}
    return append_line(budget_file(live), line)


def _month(now: datetime) -> str:
    return now.strftime("%Y-%m")
