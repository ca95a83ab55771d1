"""Commands of the drift watch: `python -m pipelines drift measure|decide|confirm|runs|settle|approve|replay|audit`."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.runtime.days import day_of
from pipelines.runtime.errors import ParamsError


def time_of(text: str) -> datetime:
    """Read an ISO time, UTC when it names no zone; ParamsError when it is not one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ParamsError(f"invalid NOW = {text!r}: expected a time such as 2026-03-16T05:00:00+00:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Every(enum.StrEnum):
    """How often a replay evaluates history."""

    DAY = "day"
    WEEK = "week"


class Outcome(enum.StrEnum):
    """How a retraining ended."""

    RELEASED = "released"
    KEPT = "kept"
    REFUSED = "refused"
    FAILED = "failed"
    NEVER_STARTED = "never_started"


Start = Annotated[Any, typer.Option(parser=day_of("START"), metavar="DAY", help="first UTC day")]
End = Annotated[Any, typer.Option(parser=day_of("END"), metavar="DAY", help="day after the last UTC day")]
Now = Annotated[Any, typer.Option(parser=time_of, metavar="TIME", help="current time, ISO; default: the clock")]
Version = Annotated[int | None, typer.Option(help="registered version; default, or 0: the champion")]
Previous = Annotated[int | None, typer.Option(help="the champion before it; default: as the registry has it")]
ProfileFolder = Annotated[Path | None, typer.Option(help="folder of a profile, instead of the one in the registry")]
Texts = Annotated[bool, typer.Option("--texts/--no-texts", help="read the texts again: unknown words, embeddings")]
Evidently = Annotated[bool, typer.Option("--evidently/--no-evidently", help="write Evidently's report, too")]
Verdict = Annotated[str | None, typer.Option(metavar="KEY", help="key of the verdict; default: the latest")]
Key = Annotated[str, typer.Option(help="key of the retraining")]
RunId = Annotated[str, typer.Option(help="the run that was triggered")]
Minutes = Annotated[float, typer.Option(help="minutes of compute")]
MinutesTaken = Annotated[float | None, typer.Option(help="minutes of compute; default: those that were reserved")]
HowEnded = Annotated[Outcome | None, typer.Option(help="how the run ended; without it only minutes are recorded")]
EndedRun = Annotated[str, typer.Option("--run-id", help="the run that ended; with --outcome")]
Released = Annotated[int | None, typer.Option("--model-version", help="version that the run registered; or 0: none")]
Why = Annotated[str, typer.Option(help="why it ended so")]
Check = Annotated[bool, typer.Option("--check", help="not reported by the run itself: changes no reported outcome")]
Month = Annotated[str | None, typer.Option(metavar="YYYY-MM", help="month of the budget; default: the present one")]
Who = Annotated[str, typer.Option(help="who approves")]
Source = Annotated[str, typer.Option(help="'simulated', or a Parquet file of records")]
Weeks = Annotated[int | None, typer.Option(help="weeks of reference; default: params.yaml")]
How = Annotated[Every, typer.Option(help="how often history is evaluated")]
Shift = Annotated[float, typer.Option(help="hours added to every time")]
TimeColumn = Annotated[str, typer.Option(help="column with the times")]
Columns = Annotated[str | None, typer.Option(help="columns to watch, separated by commas; default: the features")]
Out = Annotated[Path | None, typer.Option(help="folder of replay.json, replay.html and replay.svg")]
Training = Annotated[Path, typer.Option(help="Parquet file with id and label of the training rows")]


def register(app: typer.Typer) -> None:
    """Add `drift` and its commands to the program."""
    drift = typer.Typer(no_args_is_help=True, help="Measure drift of live weeks and decide on it.")
    for command in (measure, decide, confirm, runs, settle, approve, replay, audit):
        drift.command()(command)
    app.add_typer(drift, name="drift")


def measure(
    *,
    end: End,
    start: Start = None,
    model_version: Version = None,
    previous_version: Previous = None,
    profile: ProfileFolder = None,
    texts: Texts = False,
    evidently: Evidently = True,
    now: Now = None,
) -> None:
    """Compare a live week, by default the 7 days before END, with the profile of a version."""
    from pipelines.live.drift.measure import Week
    from pipelines.live.drift.measure import measure as measure_week
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    last: date = end
    week = Week(
        start=start or last - timedelta(days=7),
        end=last,
        now=now or datetime.now(UTC),
        version=model_version or None,
        previous=previous_version,
        profile_folder=profile,
        texts=texts,
        evidently=evidently,
    )
    report(measure_week(Project.open(), week))


def decide(verdict: Verdict = None, now: Now = None) -> None:
    """Walk the decision tree for a verdict and record the decision."""
    from pipelines.live.drift import actions
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    report(actions.decide(Project.open(), verdict, now=now or datetime.now(UTC)))


def confirm(key: Key, run_id: RunId, now: Now = None) -> None:
    """Record that a retraining was triggered; its cooldown starts now."""
    from pipelines.live.drift import actions
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    report(actions.confirm(Project.open(), key, run_id=run_id, now=now or datetime.now(UTC)))


def runs() -> None:
    """List the retrainings of which nothing states how they ended."""
    from pipelines.live.drift import actions
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    report(actions.open_runs(Project.open()))


def settle(
    *,
    key: Key,
    minutes: MinutesTaken = None,
    outcome: HowEnded = None,
    run_id: EndedRun = "",
    model_version: Released = None,
    why: Why = "",
    check: Check = False,
    now: Now = None,
) -> None:
    """Record how a retraining ended, and the minutes it took in place of the expected ones."""
    from pipelines.live.drift import actions, ledger
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    if outcome is None and minutes is None:
        raise ParamsError("nothing to record: expected --outcome, --minutes or both")
    if (outcome is None) != (not run_id):
        raise ParamsError("--outcome and --run-id belong together: expected both or neither")
    ended = None
    if outcome:
        ended = ledger.Ended(outcome.value, run_id, version=model_version or None, why=why, checked=check)
    report(actions.settle(Project.open(), key, minutes=minutes, now=now or datetime.now(UTC), ended=ended))


def approve(minutes: Minutes, who: Who, month: Month = None, now: Now = None) -> None:
    """Approve more minutes of retraining for a month."""
    from pipelines.live.drift import actions
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    report(actions.approve(Project.open(), minutes=minutes, month=month, who=who, now=now or datetime.now(UTC)))


def replay(
    *,
    source: Source = "simulated",
    start: Start = None,
    end: End = None,
    weeks: Weeks = None,
    every: How = Every.DAY,
    shift_hours: Shift = 0.0,
    time_column: TimeColumn = "received_at",
    columns: Columns = None,
    out: Out = None,
) -> None:
    """Show which days of history would have triggered a retraining, on which columns, at what cost."""
    from pipelines.live.drift.replay_history import Replay
    from pipelines.live.drift.replay_history import replay as replay_history
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    wanted = Replay(source, start, end, weeks, every.value, shift_hours, time_column, columns, out)
    report(replay_history(Project.open(), wanted))


def audit(training: Training, start: Start, end: End) -> None:
    """Check the share of training rows whose label may be the model's own answer."""
    from pipelines.live.release.audit import audit_file
    from pipelines.live.release.params import ReleaseParams
    from pipelines.monitoring.live_state import live_folder
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    project = Project.open()
    max_share = project.section("release", ReleaseParams).max_self_labeled_share
    report(audit_file(training, live_folder(project), start=start, end=end, max_share=max_share))
