"""The project that a process works on: its checkout, parameters, domain folder and state, created once and passed on."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.override_rules import DOMAINS, inside
from pipelines.runtime.params import PARAMS_FILE, Model, Parameters, ResourceParams
from pipelines.runtime.places import TRACKING, absolute_places, sqlite_address
from pipelines.runtime.signing import Key, read_key
from pipelines.runtime.state_root import state_root
from pipelines.runtime.store import Store

MODEL_NAME = r"^[A-Za-z0-9_-]+$"  # it becomes the name of a folder


@dataclass(frozen=True)
class Project:
    """One checkout and everything that a command needs to know about where it runs.

    Only entry points create it (`Project.open`); library code takes it, or the values that it needs.
    """

    root: Path  # the checkout, absolute
    parameters: Parameters  # params.yaml and the domain's params.yaml, read once
    state: Path  # state root: registry, history, live state, caches; absolute
    tracking_uri: str  # address of the MLflow store
    environment: Mapping[
        str, str
    ]  # variables of the process when the project was opened, relative places made absolute

    @classmethod
    def open(cls, root: Path | None = None, environment: Mapping[str, str] | None = None) -> Project:
        """Open the checkout `root` (default: the working directory) with the variables of this process.

        Raises ParamsError when a parameter file is missing or broken or the machine does not list the domain, StoreError
        when PERENNIAL_HOME is relative or a file.
        """
        root = (root or Path.cwd()).resolve()
        variables = absolute_places(os.environ if environment is None else environment, root)
        state = state_root(root, variables)
        parameters = Parameters.read(root)
        listed, domain = variables.get(DOMAINS), parameters.domain_folder
        if listed is not None and not inside(domain, os.pathsep.join([str(root), listed])):
            raise ParamsError(
                f"{PARAMS_FILE}: invalid domain = {parameters.ours['domain']!r}: it is the folder {domain}; expected a folder "
                f"of the repository, or one that {DOMAINS} = {listed!r} lists"
            )
        return cls(
            root=root,
            parameters=parameters,
            state=state,
            tracking_uri=variables.get(TRACKING) or sqlite_address(state / "mlflow.db"),
            environment=variables,
        )

    @cached_property
    def store(self) -> Store:
        """The outputs of this checkout's stages."""
        return Store(self.root / "data", key=self.signing_key)

    @cached_property
    def signing_key(self) -> Key | None:
        """The key that signs and checks releases (`PERENNIAL_SIGNING_KEY`), or None: nothing is signed."""
        return read_key(self.environment, state=self.state)

    @property
    def domain_folder(self) -> Path:
        """Folder of the domain, absolute; `records.domain.Domain` loads it."""
        return self.parameters.domain_folder

    @property
    def resources(self) -> ResourceParams:
        """Section `resources` of params.yaml."""
        return self.section("resources", ResourceParams)

    @property
    def models_folder(self) -> Path | None:
        """Folder of base models (`PERENNIAL_MODELS`), absolute, or None: installed packages, then the hub."""
        given = self.environment.get("PERENNIAL_MODELS")
        return Path(given) if given else None

    @property
    def data_folder(self) -> Path:
        """Folder at which relative source paths start: `PERENNIAL_DATA`, else the checkout."""
        return Path(self.environment.get("PERENNIAL_DATA") or self.root)

    @property
    def replays(self) -> bool:
        """Whether PERENNIAL_REPLAY asks for the recorded input instead of the source."""
        return self.environment.get("PERENNIAL_REPLAY", "").lower() in {"1", "true", "yes", "on"}

    def section(self, name: str, model: type[Model]) -> Model:
        """Return a section of the parameters as its model; ParamsError lists everything that is wrong with it."""
        return self.parameters.load(name, model)

    @property
    def model_name(self) -> str:
        """Name of the registered model: `release.model_name`, else `perennial-<domain folder>`."""
        name = self.parameters.section("release").get("model_name")
        if name is None:
            return f"perennial-{self.domain_folder.name}"
        if not isinstance(name, str) or not re.fullmatch(MODEL_NAME, name):
            raise ParamsError(
                f"{PARAMS_FILE}: invalid release.model_name = {name!r}: expected letters, digits, '_' and '-'"
            )
        return name
