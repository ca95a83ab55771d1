"""Measure drift of a live week, decide on it, replay history: `python -m pipelines.live.drift [measure|decide|replay|...]`.

`python -m pipelines.live.drift --start DAY --end DAY --model-version N` measures. Exit codes as everywhere: 66 is bad input.
"""

import argparse
import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.runtime.days import day_of
from pipelines.runtime.errors import PerennialError

COMMANDS = ("measure", "decide", "settle", "approve", "replay", "audit")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a known error is one message on stderr and its own exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="drift: %(message)s", force=True)
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] not in (*COMMANDS, "-h", "--help"):
        words.insert(0, "measure")
    try:
        given = _parser().parse_args(words)
        answer = given.command(given)
    except PerennialError as error:
        sys.stderr.write(f"drift: {error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(answer, indent=2, sort_keys=True, default=str) + "\n")
    return 0


def _measure(given: argparse.Namespace) -> dict[str, Any]:
    from pipelines.live.drift import job
    from pipelines.runtime.project import Project

    return job.measure(
        Project.open(),
        start=given.start or given.end - timedelta(days=7),
        end=given.end,
        version=given.model_version or None,
        previous=given.previous_version,
        profile_folder=given.profile,
        now=given.now,
        texts=given.texts == "yes",
        evidently=not given.no_evidently,
    )


def _decide(given: argparse.Namespace) -> dict[str, Any]:
    from pipelines.live.drift import job
    from pipelines.runtime.project import Project

    if given.confirm:
        return job.confirm(Project.open(), given.confirm, run_id=given.run_id, now=given.now)
    return job.decide(Project.open(), given.verdict, now=given.now)


def _settle(given: argparse.Namespace) -> dict[str, Any]:
    from pipelines.live.drift import job
    from pipelines.runtime.project import Project

    return job.settle(Project.open(), given.key, minutes=given.minutes, now=given.now)


def _approve(given: argparse.Namespace) -> dict[str, Any]:
    from pipelines.live.drift import job
    from pipelines.runtime.project import Project

    return job.approve(Project.open(), minutes=given.minutes, month=given.month, who=given.who, now=given.now)


def _replay(given: argparse.Namespace) -> dict[str, Any]:
    from pipelines.live.drift import replay_job
    from pipelines.runtime.project import Project

    return replay_job.replay(
        Project.open(),
        source=given.source,
        start=given.start,
        end=given.end,
        weeks=given.weeks,
        every=given.every,
        shift_hours=given.shift_hours,
        time_column=given.time_column,
        columns=given.columns,
        out=given.out,
    )


def _audit(given: argparse.Namespace) -> dict[str, Any]:
    from pipelines.live.drift import job
    from pipelines.runtime.project import Project

    return job.audit(Project.open(), training=given.training, start=given.start, end=given.end)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.live.drift", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        return command

    measure = add("measure", _measure, "compare the week before --end with the profile of a version")
    measure.add_argument("--start", type=day_of("START"), help="first UTC day; default: a week before the end")
    measure.add_argument("--end", type=day_of("END"), required=True, help="day after the last; the week before it")
    measure.add_argument("--model-version", type=int, help="registered version; 0: the champion")
    measure.add_argument("--previous-version", type=int, help="the champion before it; default: the registry's")
    measure.add_argument("--profile", type=Path, help="a profile's folder instead of the one in the registry")
    measure.add_argument(
        "--texts", nargs="?", const="yes", default="no", choices=("yes", "no"), help="read the texts again, too"
    )
    measure.add_argument("--no-evidently", action="store_true", help="leave Evidently's report out")
    _add_now(measure)
    decide = add("decide", _decide, "walk the decision tree for a verdict, or confirm the run that came of it")
    decide.add_argument("--verdict", help="key of the verdict; default: the latest")
    decide.add_argument("--confirm", metavar="KEY", help="the retraining of this key was triggered: begin the cooldown")
    decide.add_argument("--run-id", default="", help="with --confirm: the run that was triggered")
    _add_now(decide)
    settle = add("settle", _settle, "replace the expected minutes of a retraining by those it took")
    settle.add_argument("--key", required=True, help="key of the retraining")
    settle.add_argument("--minutes", type=float, required=True, help="minutes it took")
    _add_now(settle)
    approve = add("approve", _approve, "approve more compute minutes for a month")
    approve.add_argument("--minutes", type=float, required=True, help="minutes more")
    approve.add_argument("--month", help="YYYY-MM; default: this one")
    approve.add_argument("--who", required=True, help="who approves")
    _add_now(approve)
    replay = add("replay", _replay, "which days of history would have triggered, on which columns, at what cost")
    replay.add_argument("--source", default="simulated", help="'simulated', or a parquet file of records")
    replay.add_argument("--start", type=day_of("START"), help="first day of history")
    replay.add_argument("--end", type=day_of("END"), help="day after the last")
    replay.add_argument("--weeks", type=int, help="weeks of reference; default: params.yaml")
    replay.add_argument("--every", choices=("day", "week"), default="day", help="how often it is looked")
    replay.add_argument("--shift-hours", type=float, default=0, help="hours added to every time")
    replay.add_argument("--time-column", default="received_at", help="the column of the times")
    replay.add_argument("--columns", help="columns to watch, with commas between; default: the domain's features")
    replay.add_argument("--out", type=Path, help="folder of replay.json, replay.html and replay.svg")
    audit = add("audit", _audit, "share of training rows whose label may be the model's own answer")
    audit.add_argument("--training", type=Path, required=True, help="parquet with id and label of the training rows")
    audit.add_argument("--start", type=day_of("START"), required=True, help="first day of the training window")
    audit.add_argument("--end", type=day_of("END"), required=True, help="day after its last")
    return parser


def _add_now(command: argparse.ArgumentParser) -> None:
    command.add_argument("--now", type=_time, default=datetime.now(UTC), help="the time it is, ISO; default: the clock")


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    raise SystemExit(main())
