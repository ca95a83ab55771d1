"""The command line: `python -m pipelines COMMAND`. Stages are run by DVC as `python -m pipelines.stages.<stage>`."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path

import typer

from pipelines.runtime.errors import PerennialError
from pipelines.runtime.runner import settle_environment
from pipelines.runtime.state_root import state_root

# Modules that add their commands to the program; heavy libraries are imported by the commands that need them.
COMMANDS: tuple[str, ...] = (
    "pipelines.runtime.commands",
    "pipelines.gates.commands",
    "pipelines.reporting.commands",
    "pipelines.stages.ingest.commands",
    "pipelines.live.release.commands",
    "pipelines.models.commands",
    "pipelines.live.score.commands",
    "pipelines.live.serve.commands",
    "pipelines.live.drift.commands",
    "pipelines.live.loop.commands",
)
QUIET = ("httpx", "urllib3", "alembic", "mlflow", "filelock", "matplotlib", "fsspec")


def program() -> typer.Typer:
    """Return the program with the commands of every part."""
    app = typer.Typer(
        name="python -m pipelines",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def everything() -> None:
        """Train, release, score, serve and watch models."""

    for module in COMMANDS:
        importlib.import_module(module).register(app)
    return app


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; a known error is one message on stderr, without a traceback.

    A command ends with another code than 0 by `raise typer.Exit(code)`.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="perennial: %(message)s", force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    command = typer.main.get_command(program())
    try:
        settle_environment(state_root(Path.cwd(), os.environ))
        command(args=arguments, prog_name="python -m pipelines")
    except PerennialError as error:
        sys.stderr.write(f"perennial: {error}\n")
        return error.exit_code
    except SystemExit as end:  # a usage error (2), or the code that a command ended with
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
