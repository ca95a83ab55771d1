"""Keep one record of each text: data/ingest -> data/dedupe."""

from __future__ import annotations

import logging

from pipelines.runtime.project import Project
from pipelines.runtime.runner import run

logger = logging.getLogger("pipelines.stages.dedupe")


def main(project: Project) -> None:
    """Read accepted records, split off the duplicates, and write both with the verdict of the wipe-out guard."""
    from pipelines.gates.status import require_open
    from pipelines.records.domain import Domain
    from pipelines.stages.dedupe.duplicates import split_duplicates
    from pipelines.stages.dedupe.guard import check_dedupe
    from pipelines.stages.dedupe.params import DedupeParams
    from pipelines.stages.dedupe.report import count_dropped, summarize

    store, resources = project.store, project.resources
    params, schema = project.section("dedupe", DedupeParams), Domain(project.domain_folder).schema
    overrides = require_open(store, "ingest")
    records = store.read_records("ingest")
    found = split_duplicates(records, near=params.near_duplicates, seed=resources.seed, threads=resources.threads)
    table = count_dropped(records, dropped=found.dropped, protected=schema.protected)
    logger.info("%d records in, %d kept, %d dropped", len(records), len(found.kept), len(found.dropped))
    store.write_records("dedupe", found.kept)
    store.write_records("dedupe", found.dropped, name="dropped")
    store.write_table("dedupe", "dropped.csv", table)
    store.write_metrics("dedupe", summarize(found, table=table), headline={"rows": len(found.kept)})
    store.write_verdict(check_dedupe(found, params=params, overrides=overrides))


if __name__ == "__main__":
    run("dedupe", main)
