"""Commands of scoring: `python -m pipelines score|score-export`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.runtime.days import day_of


def _day(name: str, text: str) -> Any:
    return typer.Option(parser=day_of(name), metavar="DAY", help=text)


Version = Annotated[int | None, typer.Option(help="registered version; default: the champion")]


def register(app: typer.Typer) -> None:
    """Add the commands of scoring to the program."""
    app.command()(score)
    app.command("score-export")(score_export)
    app.command("labels")(labels)


def score(
    start: Annotated[Any, _day("START", "first UTC day of the window")] = None,
    end: Annotated[Any, _day("END", "UTC day after the last")] = None,
    now: Annotated[Any, _day("NOW", "the current UTC day; default: by the clock")] = None,
    model_version: Version = None,
    champion: Annotated[bool, typer.Option("--champion", help="use the champion (the default)")] = False,
    catch_up: Annotated[
        bool, typer.Option("--catch-up/--no-catch-up", help="score late rows and missed days before START, too")
    ] = False,
    labels_as_of: Annotated[
        Any,
        _day(
            "LABELS_AS_OF",
            "write the gold labels that arrived before this UTC day, instead of predictions; START and END may be "
            "left out, and records are read at least as far back as the domain's labels may take",
        ),
    ] = None,
) -> None:
    """Score a window of new input with a registered version, or write its late labels."""
    from pipelines.live.score.scoring import late_labels, late_start, require_window, score_window
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    if champion and model_version is not None:
        raise typer.BadParameter("--champion and --model-version exclude each other")
    if labels_as_of is None and (start is None or end is None):
        raise typer.BadParameter("--start and --end are required, except with --labels-as-of")
    today: date = now or datetime.now(UTC).date()
    end = end or labels_as_of
    require_window(start=start or date.min, end=end, today=today)
    project = Project.open()
    if labels_as_of:
        first = min(start or end, late_start(project, as_of=labels_as_of))
        report(late_labels(project, start=first, end=end, as_of=labels_as_of))
    else:
        report(
            score_window(project, start=start, end=end, version=model_version, catch_up=catch_up, now=datetime.now(UTC))
        )


def score_export(
    model_version: Version = None,
    int8: Annotated[bool, typer.Option("--int8", help="store matrices as int8; the parity gate is the same")] = False,
) -> None:
    """Export a version's network to a faster form, which is used once its parity gate has passed."""
    from pipelines.live.score.export import export_version
    from pipelines.live.score.scoring import find_package
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    project = Project.open()
    version, package = find_package(project, model_version)
    report(export_version(project, version=version, package=package, int8=int8))


def labels(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file: record_id, label, labeled_at, obtained?, source?")],
) -> None:
    """Add late labels of a file; each may state how it was obtained."""
    from pipelines.live.score.labels_file import add_labels_file
    from pipelines.runtime.project import Project
    from pipelines.runtime.results import report

    report(add_labels_file(Project.open(), file))
