"""The command `pages`: render the pages of the last run."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command `pages`."""

    @app.command()
    def pages(
        names: Annotated[list[str] | None, typer.Argument(help="data_report, model_card; default: both")] = None,
        stale: Annotated[list[str] | None, typer.Option(help="a stage that the last run did not reach")] = None,
    ) -> None:
        """Render pages from the evidence in data/ and write them to data/pages/."""
        from pipelines.reporting.pages import write_pages
        from pipelines.runtime.project import Project
        from pipelines.runtime.results import report

        report({"pages": write_pages(Project.open().store, names or (), stale=stale or ())})
