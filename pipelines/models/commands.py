"""Command `digests` of `python -m pipelines`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the program."""

    @app.command()
    def digests(folder: Annotated[Path, typer.Argument(help="folder with the files of a base model")]) -> None:
        """Print the digests of a base model as lines for section base_model of params.yaml."""
        from pipelines.models.base_model import CONFIG, TOKENIZER, file_sha256, weights_digest

        typer.echo(f"sha256: {weights_digest(folder)}")
        typer.echo(f"tokenizer_sha256: {file_sha256(folder / TOKENIZER)}")
        typer.echo(f"config_sha256: {file_sha256(folder / CONFIG)}")
