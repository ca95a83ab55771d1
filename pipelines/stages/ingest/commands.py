"""Commands of ingest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.runtime.project import Project


def register(app: typer.Typer) -> None:
    """Add the command `remember`."""

    @app.command("remember")
    def remember_command() -> None:
        """Take the last ingest as an example of good input: write the file that `ingest.reference` names."""
        from pipelines.runtime.project import Project
        from pipelines.runtime.results import report

        project = Project.open()
        report({"reference": os.path.relpath(remember(project), project.root)})  # it may be outside the checkout


def remember(project: Project) -> Path:
    """Write the reference file from the outputs of the last ingest and return it; GateClosed while its gate is
    closed.
    """
    from pipelines.gates.status import require_open
    from pipelines.runtime.state import write_atomic
    from pipelines.runtime.store import to_json
    from pipelines.stages.ingest.last_good import summary
    from pipelines.stages.ingest.params import IngestParams

    require_open(project.store, "ingest")
    params = project.section("ingest", IngestParams)
    content = summary(
        project.store.read_records("ingest", name="per_day"),
        metrics=project.store.read_metrics("ingest"),
        end=params.end.isoformat(),
    )
    file = project.root / params.reference
    write_atomic(file, to_json(content))
    return file
