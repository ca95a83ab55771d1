"""Commands about the parameters of a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the group `params` to the program."""
    group = typer.Typer(help="Parameters of this checkout.", no_args_is_help=True)
    group.command("set")(set_values)
    app.add_typer(group, name="params")


def set_values(
    values: Annotated[
        list[str] | None, typer.Argument(help="Overrides such as dedupe.min_rows=50, values as YAML.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="YAML or JSON file of overrides.")] = None,
    start: Annotated[str | None, typer.Option(help="First day of the window.")] = None,
    end: Annotated[
        str | None, typer.Option(help="Day after the last; alone, the window is ingest.window_days long.")
    ] = None,
) -> None:
    """Change values in params.yaml when the changed file is valid; otherwise nothing is written."""
    from pipelines.runtime.overrides import parse_override, read_overrides, set_parameters
    from pipelines.runtime.results import report

    changes = read_overrides(file) if file is not None else {}
    changes |= dict(parse_override(text) for text in values or ())
    report({"changed": set_parameters(Path.cwd(), changes, start=start, end=end)})
