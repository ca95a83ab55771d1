"""Read the scenario's state root and registry after its end."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipelines.live.loop.evidence import State
from pipelines.monitoring.live_state import live_folder
from pipelines.runtime.state import read_lines

if TYPE_CHECKING:
    from pipelines.live.release.registry import Registry
    from pipelines.runtime.project import Project


def read_state(project: "Project", registry: "Registry") -> State:
    """Return the content of every file that a claim is checked against; the hash chains are verified on reading."""
    from pipelines.live.drift.files import read_verdict
    from pipelines.live.drift.ledger import Account
    from pipelines.live.release.history import read_history
    from pipelines.live.release.registry import CHALLENGER, CHAMPION

    root, live = project.state, live_folder(project)
    found = registry.client.search_model_versions(f"name = '{registry.model_name}'")
    versions = sorted(int(item.version) for item in found)
    return State(
        moves=read_history(registry.state, registry.model_name),
        decisions=list(Account.read(live).decisions),
        verdicts=[read_verdict(file) for file in sorted((live / "drift").glob("*/verdict.json"))],
        canaries=read_lines(root / "canaries.jsonl"),
        requests=[json.loads(file.read_bytes()) for file in sorted((root / "runs").glob("*/request.json"))],
        windows={version: _window(registry, version) for version in versions},
        roles={version: _roles(live, version) for version in versions},
        champion=registry.alias(CHAMPION),
        challenger=registry.alias(CHALLENGER),
    )


def _window(registry: "Registry", version: int) -> tuple[str, str]:
    params: dict[str, Any] = yaml.safe_load(
        (registry.package(version) / "evidence" / "params.yaml").read_text(encoding="utf-8")
    )
    return str(params["ingest"]["start"]), str(params["ingest"]["end"])


def _roles(live: Path, version: int) -> dict[str, int]:
    """Rows of a version in the prediction log, by role."""
    import pandas as pd

    from pipelines.monitoring.predictions import predictions_folder

    files = sorted(predictions_folder(live).glob("day=*/part.parquet"))
    if not files:
        return {}
    rows = pd.concat([pd.read_parquet(file, columns=["model_version", "role"]) for file in files])
    counts = rows.loc[rows["model_version"] == version, "role"].astype(str).value_counts()
    return {str(role): int(count) for role, count in sorted(counts.items())}
