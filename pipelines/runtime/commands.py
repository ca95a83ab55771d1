"""Commands about the parameters of a checkout."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the group `params` to the program."""
    group = typer.Typer(help="Parameters of this checkout.", no_args_is_help=True)
    group.command("set")(set_values)
    group.command("list")(list_values)
    group.command("check")(check_values)
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
    from pipelines.runtime.places import absolute_places
    from pipelines.runtime.results import report

    changes = read_overrides(file) if file is not None else {}
    changes |= dict(parse_override(text) for text in values or ())
    root = Path.cwd()
    environment = absolute_places(os.environ, root)
    report({"changed": set_parameters(root, changes, environment=environment, start=start, end=end)})


def list_values(
    section: Annotated[str | None, typer.Argument(help="One section, such as promote; default: all.")] = None,
) -> None:
    """Show every parameter: its value, where the value comes from, its default, what is accepted, what it means."""
    from pipelines.runtime.listing import list_parameters
    from pipelines.runtime.params import Parameters

    for row in list_parameters(Parameters.read(Path.cwd()), section):
        default = "" if row.source == "default" or row.default is None else f"; default {_shown(row.default)}"
        typer.echo(
            f"{row.name} = {_shown(row.value)} ({row.source}{default})\n    accepts {row.accepted}; {row.description}"
        )


def check_values() -> None:
    """Check all of params.yaml and the domain's file, and that the sources that they name exist."""
    from pipelines.runtime.params import PARAMS_FILE, read_yaml
    from pipelines.runtime.places import absolute_places
    from pipelines.runtime.results import report
    from pipelines.runtime.sections import check_sections

    root = Path.cwd()
    content = read_yaml(root / PARAMS_FILE)
    check_sections(content, root=root, environment=absolute_places(os.environ, root), moved=list(content))
    report({"valid": True, "sections": len(content)})


def _shown(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False, default=str)
