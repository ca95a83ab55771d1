"""Commands of the release: `python -m pipelines run|pin|apply|rollback|history|verify|restore|sign|summary|mlflow`."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from pipelines.runtime.ports import port_of, require_free

logger = logging.getLogger(__name__)

Start = Annotated[str | None, typer.Option(metavar="DAY", help="first UTC day of the window")]
End = Annotated[str | None, typer.Option(metavar="DAY", help="day after the last day of the window")]
Params = Annotated[str | None, typer.Option(metavar="FILE", help="YAML file whose values override params.yaml")]
Again = Annotated[bool, typer.Option("--again", help="release a version that was rolled back once more")]
Backfill = Annotated[bool, typer.Option("--backfill", help="pin no champion: a backfill is compared with none")]
Reason = Annotated[str, typer.Option(help="why, for the history")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
Port = Annotated[int, typer.Option(parser=port_of, metavar="PORT", help="port to listen on")]


def register(app: typer.Typer) -> None:
    """Add the commands of the release to the program."""
    for command in (run, pin, apply, rollback, history, verify, restore, sign, summary, mlflow):
        app.command()(command)


def run(start: Start = None, end: End = None, params: Params = None) -> None:
    """Run the main job: pin the champion, `dvc repro`, carry out the decision, show the summary.

    Exit codes: 0 released or kept, 65 a gate is closed or the decision is to refuse, 64 wrong parameters, 66 the
    source cannot be reached, 1 a stage failed.
    """
    from pipelines.live.release import job
    from pipelines.live.release.run import run_all
    from pipelines.runtime.places import absolute_places
    from pipelines.runtime.project import Project

    began, root = time.monotonic(), Path.cwd()
    environment = absolute_places(os.environ, root)
    for line in job.prepare(root, environment=environment, params=params, start=start, end=end):
        logger.info("params.yaml: %s", line)
    raise typer.Exit(run_all(Project.open(), seconds=lambda: time.monotonic() - began))


def pin(backfill: Backfill = False) -> None:
    """Write data/champion.json and data/champion/ from the registry, after checking all parameters and the domain."""
    from pipelines.live.release.run import pin_champion
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    report({"version": pin_champion(Project.open(), backfill=backfill)})


def apply(again: Again = False) -> None:
    """Carry out the decision in data/promote/."""
    from pipelines.live.release import moves
    from pipelines.live.release.registry import Registry
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    project = Project.open()
    report(moves.apply(project, Registry.open(project), again=again))


def rollback(reason: Reason) -> None:
    """Make the champion before the present one champion again."""
    from pipelines.live.release import moves
    from pipelines.live.release.registry import Registry
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    report(moves.rollback(Registry.open(Project.open()), reason=reason))


def history(json: AsJson = False) -> None:
    """Show who moved the champion alias, when and why."""
    from pipelines.live.release.history import read_history
    from pipelines.live.release.summary import show_history
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    project = Project.open()
    moves = read_history(project.state, project.model_name)
    if json:
        report(moves)
    else:
        show_history(moves)


def verify() -> None:
    """Compare alias, history, manifests, files and signatures with each other."""
    from datetime import UTC, datetime

    from pipelines.live.release.verification import UNKEYED
    from pipelines.live.release.verification import verify as compare
    from pipelines.runtime.errors import InputError
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    verified = compare(Project.open(), now=datetime.now(UTC))
    if not verified.signed:
        logger.info(UNKEYED)
    report(verified.content())
    if verified.findings:
        raise InputError("\n".join(["not intact:", *(f"  {item['message']}" for item in verified.findings)]))


def restore() -> None:
    """Point the champion alias to the version that the last line of the history names."""
    from pipelines.live.release import moves
    from pipelines.live.release.registry import Registry
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    report(moves.restore(Registry.open(Project.open())))


def sign() -> None:
    """Sign history and versions that were written without the key that PERENNIAL_SIGNING_KEY names."""
    from pipelines.live.release import moves
    from pipelines.live.release.registry import Registry
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    report(moves.sign(Registry.open(Project.open())))


def summary() -> None:
    """Show the summary of the last run again."""
    from pipelines.live.release.run import stale_stages
    from pipelines.live.release.summary import show_summary
    from pipelines.runtime.project import Project

    project = Project.open()
    show_summary(project.store, outcome=None, seconds=None, stale=stale_stages(project.root))


def mlflow(port: Port = 5000) -> None:
    """Show MLflow's pages on the loopback interface."""
    import os
    import sys

    from pipelines.live.release.registry import Registry
    from pipelines.runtime.project import Project

    require_free("127.0.0.1", port=port)
    project = Project.open()
    registry = Registry.open(project)
    registry.relocate()
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", project.tracking_uri]
    command += ["--default-artifact-root", registry.artifacts.as_uri(), "--host", "127.0.0.1", "--port", str(port)]
    variables = dict(os.environ)
    if "%" in sys.prefix:
        variables["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).with_name("mlflow_start")), str(project.root)])
    os.execve(command[0], command, variables)  # noqa: S606  an argument list, no shell
