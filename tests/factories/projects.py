"""Projects without files: parameters given as values, the private state root of the running test."""

from pathlib import Path
from typing import Any

from pipelines.runtime.params import Parameters
from pipelines.runtime.project import Project
from tests.factories.state import state_root


def make_project(root: Path, *, sections: dict[str, Any] | None = None, state: Path | None = None) -> Project:
    """Return a project in the folder `root` with the given sections of params.yaml, an empty domain and no variables."""
    state = state or state_root()
    parameters = Parameters(root=root, ours={"domain": "d", **(sections or {})}, theirs={}, domain_folder=root / "d")
    return Project(root, parameters, state, tracking_uri=f"sqlite:///{state / 'mlflow.db'}", environment={})
