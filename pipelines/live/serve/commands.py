"""Commands of the service: `python -m pipelines serve|compact|canary`."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer

from pipelines.runtime.days import day_of
from pipelines.runtime.ports import port_of, require_free

TOKEN_VARIABLE = "PERENNIAL_API_TOKEN"  # noqa: S105  the variable's name

Host = Annotated[str, typer.Option(help="address to listen on; default: the loopback interface only")]
Port = Annotated[
    int | None, typer.Option(parser=port_of, metavar="PORT", help="port to listen on; default: params.yaml: serve.port")
]
Today = Annotated[
    Any, typer.Option(parser=day_of("TODAY"), metavar="DAY", help="UTC day of the evaluation; default: today")
]


def register(app: typer.Typer) -> None:
    """Add the commands of the service to the program."""
    app.command()(serve)
    app.command()(compact)
    app.command()(canary)


def serve(host: Host = "127.0.0.1", port: Port = None) -> None:
    """Answer requests over HTTP until SIGTERM."""
    from pipelines.live.serve.params import ServeParams
    from pipelines.runtime.project import Project

    project = Project.open()
    port = port or project.section("serve", ServeParams).port
    require_free(host, port=port)
    from pipelines.live.serve.service import run  # after the checks above: torch takes seconds to import

    logging.getLogger("transformers").setLevel(logging.ERROR)
    token = project.environment.get(TOKEN_VARIABLE, "").strip() or None
    run(project, host=host, port=port, token=token, clock=utc_now)


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def compact() -> None:
    """Move the finished segments of the prediction log to predictions/day=.../."""
    from pipelines.live.serve import journal
    from pipelines.live.serve.service import journal_folder
    from pipelines.monitoring.live_state import live_folder
    from pipelines.records.domain import Domain
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    project = Project.open()
    live = live_folder(project)
    report(journal.compact(journal_folder(live), schema=Domain(project.domain_folder).schema, live=live))


def canary(today: Today = None) -> None:
    """Evaluate the canary once: stop it, complete it, or leave it."""
    from pipelines.live.release.registry import Registry
    from pipelines.live.serve import journal, trial
    from pipelines.live.serve.params import ServeParams
    from pipelines.live.serve.service import journal_folder
    from pipelines.monitoring.live_state import live_folder
    from pipelines.records.domain import Domain
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    project = Project.open()
    day: date = today or utc_now().date()
    live = live_folder(project)
    journal.compact(journal_folder(live), schema=Domain(project.domain_folder).schema, live=live)
    params = project.section("serve", ServeParams).canary
    report(trial.evaluate_canary(Registry.open(project), live=live, params=params, today=day))
