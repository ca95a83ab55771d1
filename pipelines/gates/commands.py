"""Commands about gates: `gate` reports whether one is open, `override` lets a closed one pass."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands `gate` and `override`."""

    @app.command()
    def gate(stage: Annotated[str, typer.Argument(help="a stage that writes a verdict")]) -> None:
        """Report whether a gate is open: its verdict, the override that opens it, or why it is closed."""
        from pipelines.gates.status import gate_status
        from pipelines.runtime.project import Project
        from pipelines.runtime.results import report

        report(gate_status(Project.open().store, stage))

    @app.command()
    def override(
        stage: Annotated[str, typer.Option(help="the gate that is closed")],
        who: Annotated[str, typer.Option(help="the person who decides")],
        why: Annotated[str, typer.Option(help="the reason, at least ten characters")],
    ) -> None:
        """Record that a person lets a closed gate pass, for exactly its current verdict."""
        from datetime import UTC, datetime

        from pipelines.gates.override import gates_of, record_override, require_closed
        from pipelines.runtime.params import read_yaml
        from pipelines.runtime.project import Project
        from pipelines.runtime.results import report

        project = Project.open()
        require_closed(project.store, stage, gates=gates_of(read_yaml(project.root / "dvc.yaml")))
        when = datetime.now(UTC).isoformat(timespec="seconds")
        file = record_override(project.store, stage=stage, who=who, when=when, why=why).relative_to(project.root)
        report({"override": str(file), "next": f"git add {file}; commit it; dvc repro"})
