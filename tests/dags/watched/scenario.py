"""The scenario under the scheduler, for its test: `python tests/dags/watched/scenario.py FOLDER make|faulty`.

`make` writes this repository into FOLDER, small, with inputs that drift on a known day, and releases a first champion
by the command. `faulty` registers a model that answers wrongly, past the gates, and makes it champion by hand. Runs in
the pipeline's environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.dags.watched.world import enter

MOVED = "2025-07-28"  # a Monday, three weeks after the first training window
PARAMETERS: dict[str, Any] = {
    # So few test rows decide nothing narrower; what decides between models has tests of its own.
    "promote": {"margin": 0.3, "anchor_margin": 0.3, "slice_margin": 0.9},
    "ingest": {"window_days": 182},
    "release": {"max_p95_single_ms": 60000, "max_p95_batch_ms": 120000},  # a busy laptop is not a server
    "baseline": {"linear": {"strengths": [2.0], "vectors": [False]}},
}


def make(folder: Path) -> None:
    """The checkout with all its parameters committed, and version 1 as champion."""
    from tests.dags.small_checkout import main as write_checkout

    write_checkout(folder)
    root = enter(folder)
    from pipelines.runtime.overrides import edit_file
    from pipelines.runtime.project import Project

    edit_file(root / "params.yaml", PARAMETERS)
    moved = {"simulator": {"rows_per_day": 20, "drift_date": MOVED, "drift": {"covariate": 0.8}}}
    edit_file(Project.open(root).domain_folder / "params.yaml", moved)
    _git(root, "commit", "--quiet", "--all", "--message", "inputs that drift")
    environment = os.environ | {"PERENNIAL_MODELS": str(folder / "models"), "HF_HUB_OFFLINE": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([sys.executable, "-m", "pipelines", "run"], cwd=root, env=environment, check=True)
    _git(root, "checkout", "--quiet", "--", ".")  # later runs clone what is committed


def faulty(folder: Path) -> None:
    """Register a broken copy of the champion and move the alias to it by hand, past the gates."""
    root = enter(folder)
    from pipelines.live.loop.fault_injection import register_faulty_version
    from pipelines.live.release.registry import CHAMPION, Registry
    from pipelines.records.domain import Domain
    from pipelines.runtime.project import Project

    project = Project.open(root)
    registry = Registry.open(project)
    champion = registry.alias(CHAMPION)
    assert champion is not None
    schema = Domain(project.domain_folder).schema
    bad = register_faulty_version(registry, of=champion, schema=schema, project=project)
    registry.move_alias(CHAMPION, bad)


def _git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True)


if __name__ == "__main__":
    {"make": make, "faulty": faulty}[sys.argv[2]](Path(sys.argv[1]))
