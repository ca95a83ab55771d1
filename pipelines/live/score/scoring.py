"""Score a window of new input with a registered version, and write the gold labels that have arrived for it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    from pipelines.runtime.project import Project

logger = logging.getLogger(__name__)


def require_window(*, start: date, end: date, today: date) -> None:
    """Raise InputError when the half-open window holds no day, or a day that has not begun."""
    if start >= end:
        raise InputError(f"window [{start}, {end}) is empty: expected a start before the end")
    if end > today + timedelta(days=1):
        raise InputError(f"window [{start}, {end}) ends in the future: today is {today}, use --end {today} or earlier")


def score_window(project: Project, *, start: date, end: date, version: int | None = None) -> dict[str, Any]:
    """Write one version's predictions for the window's records; a second run of the same window adds nothing.

    `version` is a registered version, by default the champion. Returns the counts that the command reports.
    """
    from pipelines.live.score import partitions
    from pipelines.live.score.params import ScoreParams
    from pipelines.monitoring import predictions
    from pipelines.monitoring.live_state import live_folder
    from pipelines.records.domain import Domain
    from pipelines.runtime.progress import advancing
    from pipelines.stages.ingest.window import read_window

    params, schema = project.section("score", ScoreParams), Domain(project.domain_folder).schema
    version, package = find_package(project, version)
    records, verdict = read_window(project, start=start, end=end)
    if records.empty:
        logger.warning("the window [%s, %s) holds no record: nothing was scored", start, end)
    live = live_folder(project)
    features, served_at, added = [item.name for item in schema.features], datetime.now(UTC), 0
    parts = partitions.cut(records, rows=params.partition_rows)
    answers = partitions.score(
        parts,
        model=package / "model",
        exports=project.state / "exports",
        workers=params.workers,
        threads=project.resources.threads,
    )
    with advancing("scoring", total=len(records)) as advance:
        for part, answer in zip(parts, answers, strict=True):
            rows = partitions.as_rows(part, answer, model_version=version, served_at=served_at, features=features)
            added += predictions.add_predictions(live, predictions.as_predictions(rows, schema=schema))
            advance(len(part))
    logger.info("%d records, %d new predictions by version %d in %s", len(records), added, version, live)
    overridden = overridden_checks(package)
    for stage, checks in overridden.items():
        logger.warning("version %d was released with an override of gate %s: %s", version, stage, ", ".join(checks))
    return {
        "records": len(records),
        "added": added,
        "model_version": version,
        "ingest_passed": verdict["passed"],
        "overridden": overridden,
    }


def late_labels(project: Project, *, start: date, end: date, as_of: date) -> dict[str, Any]:
    """Write the gold labels of the window's records that had arrived before the day `as_of`."""
    import pandas as pd

    from pipelines.monitoring import predictions
    from pipelines.monitoring.live_state import live_folder
    from pipelines.stages.ingest.window import read_window

    if as_of < end:
        raise InputError(f"invalid --labels-as-of {as_of}: expected {end} (the window's end) or later")
    # Ingest hides gold labels that arrive after its window, so the window is read as it was on that day.
    records, _ = read_window(project, start=start, end=as_of)
    records = records[records["received_at"] < pd.Timestamp(end, tz="UTC")]
    arrived = records[records["gold"].notna() & (records["gold_at"] < pd.Timestamp(as_of, tz="UTC"))]
    frame = arrived[["id", "gold", "gold_at"]].set_axis(["record_id", "label", "labeled_at"], axis=1)
    added = predictions.add_labels(live_folder(project), frame)
    return {"records": len(records), "labels": len(arrived), "added": added}


def find_package(project: Project, version: int | None) -> tuple[int, Path]:
    """Return a version, by default the champion, and its package after checking every file.

    Raises InputError when the registry has no champion.
    """
    from pipelines.live.release.registry import CHAMPION, Registry

    registry = Registry.open(project)
    version = version if version is not None else registry.alias(CHAMPION)
    if version is None:
        raise InputError(f"{registry.model_name} has no champion yet: release one first (make demo)")
    return version, registry.package(version)


def overridden_checks(package: Path) -> dict[str, list[str]]:
    """Return stage -> the failed checks that a person overrode, as the version's evidence records them."""
    files = sorted((package / "evidence").glob("override.*.json"))
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return {record["stage"]: record["checks"] for record in records}
