"""The main job on a laptop: pin the champion, `dvc repro`, carry out the decision, write pages and the summary."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from pipelines.live.release.decision import decisions_made
from pipelines.live.release.job import check
from pipelines.live.release.moves import apply
from pipelines.live.release.pin import pin
from pipelines.live.release.registry import Registry
from pipelines.live.release.summary import closed_gates, show_summary
from pipelines.reporting.pages import write_pages
from pipelines.runtime.errors import GateClosed, InputError, PerennialError
from pipelines.runtime.params import read_yaml
from pipelines.runtime.programs import dvc
from pipelines.runtime.project import Project

logger = logging.getLogger(__name__)


def pin_champion(project: Project, *, backfill: bool = False) -> int | None:
    """Check all parameters and the domain, then pin the champion of the registry; return its version.

    Every run starts here, on a laptop and under Airflow: what would stop its last stage stops it now.
    """
    check(project)
    registry = Registry.open(project)
    used = decisions_made(registry.state, registry.model_name)
    return pin(registry, root=project.root, decisions_used=used, backfill=backfill)


def run_all(project: Project, *, seconds: Any) -> int:
    """Run the main job and return the exit code: 0, 65 for a closed gate, 66 for a source that cannot be reached, 1
    for a failed stage, else the error's.

    `seconds()` returns how long the run has taken so far.
    """
    pin_champion(project)
    code = reproduce(project.root)
    outcome, exit_code = None, 0
    try:
        outcome = apply(project, Registry.open(project)) if code == 0 else None
    except PerennialError as error:
        outcome, exit_code = {"action": "stop", "reason": str(error)}, error.exit_code
    stale = stale_stages(project.root) if outcome is None else set()
    try:
        write_pages(project.store, stale=stale)
    except PerennialError as error:  # a run ends as it ended, with its pages or without
        logger.warning("the pages were not written: %s", error)
    show_summary(project.store, outcome=outcome, seconds=seconds(), stale=stale, replayed=project.replays)
    if outcome is None:
        if "source" in stale and not (project.store.folder / "source" / "fingerprint.json").exists():
            return InputError.exit_code  # the source could not be reached
        return GateClosed.exit_code if closed_gates(project.store, stale=stale) else 1
    return GateClosed.exit_code if outcome["action"] == "refuse" else exit_code


def reproduce(root: Path) -> int:
    """Run `dvc repro` in a checkout, its output shown as it comes, and return its exit code."""
    return dvc(root, "repro").returncode


def stale_stages(root: Path) -> set[str]:
    """Return the stages whose outputs do not belong to the present inputs: what a run that stopped did not reach.

    They are those that DVC calls changed, except a stage that it calls nothing but always changed, and all that read
    them. When DVC does not answer, that is every stage: no summary shows the evidence of another run as that of this.
    """
    graph = read_yaml(root / "dvc.yaml").get("stages") or {}
    answer = dvc(root, "status", "--json", capture_output=True)
    try:
        stale = {name for name, found in json.loads(answer.stdout).items() if found != ["always changed"]}
    except ValueError:
        logger.warning("the state of the stages is unknown: dvc status failed: %s", answer.stderr.strip()[-500:])
        return set(graph)
    for name, stage in graph.items():  # in the order in which they run
        if any(dep.split("/")[:2] == ["data", above] for dep in stage.get("deps") or () for above in stale):
            stale.add(name)
    return stale
