"""Score a window of new input with a registered version, and write the gold labels that have arrived for it."""

from __future__ import annotations

import json
import logging
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError
from pipelines.runtime.state import write_atomic

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.runtime.project import Project

logger = logging.getLogger(__name__)

LABELS_READ = "labels_read.json"  # in the live folder: the day as of which late labels were written last
MIN_LABEL_DAYS = 60  # days back that are read for late labels, however short the domain's delay is


def require_window(*, start: date, end: date, today: date) -> None:
    """Raise InputError when the half-open window holds no day, or a day that has not begun."""
    if start >= end:
        raise InputError(f"window [{start}, {end}) is empty: expected a start before the end")
    if end > today + timedelta(days=1):
        raise InputError(f"window [{start}, {end}) ends in the future: today is {today}, use --end {today} or earlier")


def score_window(
    project: Project, *, start: date, end: date, now: datetime, version: int | None = None, catch_up: bool = False
) -> dict[str, Any]:
    """Write one version's predictions for the window's records; a second run of the same window adds nothing.

    `version` is a registered version, by default the champion. With `catch_up`, records before the window that no
    version answered are scored too: rows that arrived late, and days that no run scored. Returns the counts that the
    command reports.
    """
    from pipelines.live.score import partitions
    from pipelines.live.score.params import ScoreParams
    from pipelines.models.manifest import Manifest
    from pipelines.monitoring import predictions
    from pipelines.monitoring.live_state import live_folder
    from pipelines.records.domain import Domain
    from pipelines.runtime.progress import advancing
    from pipelines.stages.ingest.window import read_window

    params, schema = project.section("score", ScoreParams), Domain(project.domain_folder).schema
    version, package = find_package(project, version)
    model, what = Manifest.read(package / "model"), f"version {version} of {project.model_name}"
    model.require_schema(labels=schema.labels, kinds=schema.kinds, what=what)
    live = live_folder(project)
    first = catch_up_start(live, start=start, delay=schema.gold_delay_days) if catch_up else start
    records, verdict = read_window(project, start=first, end=end)
    if first < start:
        records = _without_answered(records, live, first=first, start=start)
    if records.empty:
        logger.warning("the window [%s, %s) holds no record: nothing was scored", start, end)
    added = 0
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
            rows = partitions.as_rows(part, answer, model_version=version, served_at=now, features=schema.features)
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


def catch_up_start(live: Path, *, start: date, delay: int) -> date:
    """Return the first day on which something may be missing before `start`.

    Rows may arrive up to `delay` days late, as labels do, and no day after the last one with predictions was scored;
    nothing is missing before scoring began.
    """
    from pipelines.monitoring.predictions import days_scored

    days = days_scored(live, before=start)
    return max(days[0], min(days[-1], start - timedelta(days=delay))) if days else start


def _without_answered(records: pd.DataFrame, live: Path, *, first: date, start: date) -> pd.DataFrame:
    """Return the records from `start` on, and those before that no version answered."""
    import pandas as pd

    from pipelines.monitoring.predictions import read_predictions

    before = records["received_at"] < pd.Timestamp(start, tz="UTC")
    known = read_predictions(live, start=first, end=start)
    answered = records["id"].isin(known["record_id"]) if len(known) else False
    missing = int((before & ~answered).sum())
    if missing:
        logger.info("catching up: %d records of [%s, %s) have no answer yet", missing, first, start)
    return records[~before | ~answered].reset_index(drop=True)


def late_start(project: Project, *, as_of: date) -> date:
    """Return the first day whose records may get a label that no earlier evaluation wrote.

    Labels take about the domain's `gold_delay_days`, and up to twice as long; drift looks back as far. After an outage
    the labels that arrived in it are written too: the last evaluation is remembered.
    """
    from pipelines.monitoring.live_state import live_folder
    from pipelines.records.domain import Domain

    delay = Domain(project.domain_folder).schema.gold_delay_days
    last = _labels_read_until(live_folder(project))
    return min(as_of, last or as_of) - timedelta(days=max(MIN_LABEL_DAYS, 2 * delay + 7))


def _labels_read_until(live: Path) -> date | None:
    """Return the latest day as of which late labels were written, or None; InputError when the file is damaged."""
    file = live / LABELS_READ
    if not file.exists():
        return None
    try:
        return date.fromisoformat(json.loads(file.read_bytes())["as_of"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is damaged ({error}): expected a JSON object with `as_of`, a day like 2026-03-02. Remove it: the "
            "labels of the last weeks are then read again"
        ) from None


def late_labels(project: Project, *, start: date, end: date, as_of: date) -> dict[str, Any]:
    """Write the gold labels of the window's records that had arrived before the day `as_of`."""
    import pandas as pd

    from pipelines.live.score.params import ScoreParams
    from pipelines.monitoring import predictions
    from pipelines.monitoring.live_state import live_folder
    from pipelines.runtime.store import to_json
    from pipelines.stages.ingest.window import read_window

    if as_of < end:
        raise InputError(f"invalid --labels-as-of {as_of}: expected {end} (the window's end) or later")
    # Ingest hides gold labels that arrive after its window, so the window is read as it was on that day.
    records, _ = read_window(project, start=start, end=as_of)
    records = records[records["received_at"] < pd.Timestamp(end, tz="UTC")]
    arrived = records[records["gold"].notna() & (records["gold_at"] < pd.Timestamp(as_of, tz="UTC"))]
    frame = arrived[["id", "gold", "gold_at"]].set_axis(["record_id", "label", "labeled_at"], axis=1)
    live = live_folder(project)
    obtained = project.section("score", ScoreParams).labels_obtained
    added = predictions.add_labels(live, frame, obtained=obtained)
    if end == as_of and as_of > (_labels_read_until(live) or date.min):
        write_atomic(live / LABELS_READ, to_json({"as_of": as_of.isoformat()}))
    return {"records": len(records), "labels": len(arrived), "added": added}


def find_package(project: Project, version: int | None) -> tuple[int, Path]:
    """Return a version, by default the champion, and its package after checking every file.

    Raises InputError when the registry has no champion.
    """
    from pipelines.live.release.registry import Registry

    registry = Registry.open(project)
    version = version if version is not None else registry.champion()
    return version, registry.package(version)


def overridden_checks(package: Path) -> dict[str, list[str]]:
    """Return stage -> the failed checks that a person overrode, as the version's evidence records them."""
    files = sorted((package / "evidence").glob("override.*.json"))
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return {record["stage"]: record["checks"] for record in records}
