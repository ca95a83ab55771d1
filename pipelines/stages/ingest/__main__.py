"""Read the window from the source: raw rows -> data/ingest."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pipelines.records.domain import load_domain
from pipelines.runtime import store
from pipelines.runtime.params import load_params, load_resources, section
from pipelines.runtime.project import Project
from pipelines.runtime.runner import run
from pipelines.runtime.state import home
from pipelines.stages.ingest.params import IngestParams

logger = logging.getLogger(__name__)


def main(project: Project) -> None:
    """Read, sort out, write; the verdict says whether what came in may be trained on."""
    from pipelines.stages.ingest.flow import ingest
    from pipelines.stages.ingest.last_good import load_last_good
    from pipelines.stages.ingest.sources import open_source

    params, domain = load_params("ingest", IngestParams), load_domain()
    logger.info("%s from %s to %s, revision %d", params.source, params.start, params.end, params.revision)
    source = open_source(
        params,
        domain=domain,
        seed=load_resources().seed,
        simulator=section("simulator"),
        environment=os.environ,
        root=Path.cwd(),
        home=home(),
    )
    last_good = load_last_good(Path(params.reference))
    with (
        store.writing_file("ingest", "records.parquet") as records,
        store.writing_file("ingest", "quarantine.parquet") as quarantine,
        store.scratch_folder("ingest") as scratch,
    ):
        result = ingest(
            source,
            domain=domain,
            params=params,
            last_good=last_good,
            scratch=scratch,
            records=records,
            quarantine=quarantine,
        )
    store.write_records("ingest", result.per_day, name="per_day")
    store.write_metrics("ingest", result.metrics, headline={"rows": result.metrics["rows"]["accepted"]})
    store.write_verdict(result.verdict)


if __name__ == "__main__":
    run("ingest", main)
