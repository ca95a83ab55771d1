"""Ingest of one window: the part of the stage that scoring and drift call for windows of their own."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.records.domain import Domain
from pipelines.runtime.errors import InputError, PerennialError, StoreError
from pipelines.runtime.project import Project
from pipelines.stages.ingest.params import IngestParams

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.stages.ingest.flow import Ingested

logger = logging.getLogger(__name__)


def ingest_window(project: Project, *, records: Path, quarantine: Path, scratch: Path) -> Ingested:
    """Read the window of section `ingest` and write its records and quarantine as Parquet files.

    `scratch` is an empty folder for intermediate files. Raises PerennialError when the source cannot be read.
    """
    from pipelines.sources.opening import open_source
    from pipelines.stages.ingest.flow import ingest
    from pipelines.stages.ingest.last_good import load_last_good

    params, domain = project.section("ingest", IngestParams), Domain(project.domain_folder)
    logger.info("%s from %s to %s, revision %d", params.source, params.start, params.end, params.revision)
    return ingest(
        open_source(project, params, domain=domain),
        domain=domain,
        params=params,
        last_good=load_last_good(project.root / params.reference),
        scratch=scratch,
        records=records,
        quarantine=quarantine,
    )


def read_window(project: Project, *, start: date, end: date) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the records of the half-open window [start, end) and the verdict of ingest on them.

    A closed gate does not stop the caller: live requests are answered whatever their quality, and it is drift's
    decision that asks whether the feed is broken. When the source cannot be read, raises the error of its class.
    """
    import pandas as pd

    if start >= end:
        raise InputError(f"window [{start}, {end}) is empty: expected a start before the end")
    ours = dict(project.parameters.ours)
    ours["ingest"] = {**(ours.get("ingest") or {}), "start": start.isoformat(), "end": end.isoformat()}
    narrowed = replace(project, parameters=replace(project.parameters, ours=ours))
    (project.state / "scratch").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=project.state / "scratch", prefix="window-") as folder:
        records, quarantine, scratch = (Path(folder) / name for name in ("records", "quarantine", "scratch"))
        scratch.mkdir()
        try:
            result = ingest_window(narrowed, records=records, quarantine=quarantine, scratch=scratch)
        except PerennialError as error:
            raise type(error)(f"the window [{start}, {end}) could not be read: {error}") from error
        except OSError as error:
            raise StoreError(f"the window [{start}, {end}) could not be read: {error}") from error
        verdict: dict[str, Any] = json.loads(json.dumps(result.verdict.to_dict()))
        return pd.read_parquet(records), verdict
