"""Parameters of a run on a laptop: a file and a window that override params.yaml, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.records.domain import Domain
from pipelines.runtime.errors import ParamsError
from pipelines.runtime.overrides import read_overrides, set_parameters
from pipelines.runtime.project import Project
from pipelines.runtime.sections import check_sections


def prepare(
    root: Path, *, environment: Mapping[str, str], params: str | None, start: str | None, end: str | None
) -> list[str]:
    """Apply a file of overrides and a window to `params.yaml`; returns one `name: old -> new` per changed value.

    Raises ParamsError, with everything that is wrong and nothing written, for an override that would stop a stage.
    """
    if params is not None and not params:
        raise ParamsError(
            "PARAMS is empty: expected a file, for example `make run PARAMS=examples/cfpb_complaints.yaml`"
        )
    changes = read_overrides(Path(params)) if params else {}
    return set_parameters(root, changes, environment=environment, start=start, end=end)


def check(project: Project) -> None:
    """Check every section of `params.yaml` and load every file of the domain, before any stage starts.

    Raises ParamsError with all that is wrong with the parameters, InputError with the domain's file and line.
    """
    check_sections(project.parameters.ours, root=project.root, environment=project.environment)
    domain = Domain(project.domain_folder)
    _ = domain.schema, domain.labeling_functions, domain.behaviors
