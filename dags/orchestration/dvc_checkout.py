"""DVC in a workspace: its settings, the stage graph, and the data that a stage reads."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from . import lockfile
from .command import read_object
from .constants import GRAPH_FORMAT
from .git import WorkspaceError
from .process import locked, write_atomic
from .shell import Shell


class DvcCheckout:
    """DVC as it runs in one folder; `tasks` is where the stage graph of the run is kept."""

    def __init__(self, shell: Shell, *, tasks: Path) -> None:
        self.shell = shell
        self.project = shell.project
        self.path = shell.path
        self.tasks = tasks

    def arguments(self, *words: str) -> list[str]:
        """Return the argument list of a DVC command here: `arguments("push", "--run-cache")`."""
        return [str(self.project.tools / "dvc"), "--cd", str(self.path), "--wait-for-lock", *words]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold DVC's own repository lock, so that DVC writes no lock file meanwhile."""
        with locked(self.path / ".dvc" / "tmp" / "lock"):
            yield

    def configure(self) -> None:
        """Point DVC at the shared cache; WorkspaceError when the commit has no `.dvc` folder."""
        if not (self.path / ".dvc").is_dir():
            origin = f"{self.project.origin}, folder {self.project.folder}"
            raise WorkspaceError(f"the commit of {origin} has no .dvc folder: commit the project with its .dvc/config")
        write_atomic(self.path / ".dvc" / "config.local", self.project.dvc_settings(self.path))

    def checkout(self) -> None:
        """Restore what the cache holds of the outputs that the lock file names."""
        self.shell.run(self.arguments("checkout", "--quiet", "--allow-missing", "--force"))

    def missing_inputs(self, stage: str) -> list[str]:
        """Return the outputs of the stages before this one that are not on disk."""
        outs = {out for above in self.stages[stage]["upstream"] for out in self.stages[above]["outs"]}
        return sorted(out for out in outs if not (self.path / out).exists())

    def never_ran(self, stage: str) -> list[str]:
        """Return the stages before this one that have no lock entry: their tasks were marked as successful by hand."""
        return [above for above in self.stages[stage]["upstream"] if self.entry(above) is None]

    def fetch_inputs(self, stage: str) -> None:
        """Bring every output that the stage reads onto the disk, from the remote where the cache has lost it.

        DVC's own `--pull` checks whole dependencies: a folder with a missing part would count as present.
        """
        described = self.stages[stage]
        targets = [*described["upstream"], *(f"{dep}.dvc" for dep in described["deps"])]
        targets = [name for name in targets if name in self.stages or (self.path / name).is_file()]
        if targets:
            self.shell.run(self.arguments("pull", "--quiet", "--force", *targets))
        if missing := self.missing_inputs(stage):
            raise WorkspaceError(f"{stage} reads {', '.join(missing)}, which neither the cache nor the remote has")

    @cached_property
    def stages(self) -> dict[str, dict[str, Any]]:
        """Stages of this run by name."""
        return {stage["name"]: stage for stage in self.graph()["stages"]}

    def graph(self) -> dict[str, Any]:
        """Return the stage graph of this run's own commit, as `prepare` kept it."""
        found = read_object(self.tasks / "graph.json")
        return found if found and found.get("format") == GRAPH_FORMAT else self.export_graph()

    def export_graph(self, *, checkout: bool = False, keep: Sequence[int] = ()) -> dict[str, Any]:
        """Let DVC resolve the graph of this workspace (its own dvc.yaml and parameters) and keep it for the run.

        With `checkout`, what the cache holds of the outputs is restored first.
        """
        arguments = [str(self.project.tools / "python"), str(self.project.root / "scripts" / "export_graph.py")]
        arguments += ["--stdout", "--root", str(self.path), *(["--checkout"] if checkout else [])]
        text = self.shell.run(arguments, keep=keep)
        write_atomic(self.tasks / "graph.json", text)
        return dict(json.loads(text))

    def entry(self, stage: str) -> dict[str, Any] | None:
        """Return the stage's entry in its lock file, or None."""
        with self.locked():
            return lockfile.entry(self.path, stage)
