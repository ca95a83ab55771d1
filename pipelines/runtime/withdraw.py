"""Withdraw the evidence of stages that a stopped run did not reach, so that it is never shown as that of this run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.runtime.params import read_yaml


def withdraw_after(root: Path, stage: str) -> list[str]:
    """Remove the metrics, verdicts and plots of every stage that reads, directly or not, what `stage` writes.

    They were computed from an earlier run's data, perhaps of another domain, and `dvc metrics show` would show them
    next to this run's. DVC restores them from its run cache once the same inputs are back. Returns the files.
    """
    file = root / "dvc.yaml"
    graph: Mapping[str, Any] = (read_yaml(file).get("stages") or {}) if file.is_file() else {}
    removed = []
    for name in stages_after(graph, stage):
        for item in [*(graph[name].get("metrics") or ()), *(graph[name].get("plots") or ())]:
            path = next(iter(item)) if isinstance(item, Mapping) else str(item)
            target = root / path
            if path.startswith(f"data/{name}/") and target.is_file():
                target.unlink()
                removed.append(path)
    return removed


def stages_after(graph: Mapping[str, Any], stage: str) -> list[str]:
    """Return the stages that depend on a stage's folder below `data/`, directly or through others, in order."""
    above, after = {stage}, []
    for name, content in graph.items():  # dvc.yaml lists them in the order in which they run
        deps = [str(dep).split("/")[:2] for dep in content.get("deps") or ()]
        if name != stage and any(["data", earlier] in deps for earlier in above):
            above.add(name)
            after.append(name)
    return after
