"""Command of the loop: `python -m pipelines loop [--plan FILE]`, `make loop`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

Plan = Annotated[Path, typer.Option(help="file with the scenario and its parameters")]
Folder = Annotated[Path | None, typer.Option("--in-checkout", hidden=True)]  # the second half, in its own checkout


def register(app: typer.Typer) -> None:
    """Add the command of the loop to the program."""
    app.command()(loop)


def loop(plan: Plan = Path("examples/loop.yaml"), in_checkout: Folder = None) -> None:
    """Play a year of a model's life in a separate folder, on simulated time.

    Trains and releases a first champion, lets live weeks pass until input drift comes, retrains once, releases through
    shadow and canary, and stops and rolls back a faulty model. Exit code 0 only when the state files show every
    expected event; 1 names what did not happen. Each run starts over; the folder is `loop/` in the state root.
    """
    from pipelines.live.loop.play import play, prepare
    from pipelines.runtime.project import Project

    logging.getLogger().setLevel(logging.WARNING)
    project = Project.open()
    code = prepare(project, plan) if in_checkout is None else play(project, plan, folder=in_checkout)
    raise typer.Exit(code)
