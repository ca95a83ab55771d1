"""Keep one record of each text: data/ingest -> data/dedupe."""

import logging

from pipelines.runtime import runner as stage
from pipelines.runtime.project import Project

logger = logging.getLogger("pipelines.stages.dedupe")


def main(project: Project) -> None:
    """Read accepted records, split off the duplicates, and write both with the verdict of the wipe-out guard."""
    from pipelines.gates.status import require_open
    from pipelines.records.domain import load_domain
    from pipelines.runtime import store
    from pipelines.runtime.params import load_params, load_resources
    from pipelines.stages.dedupe.duplicates import split_duplicates
    from pipelines.stages.dedupe.guard import judge
    from pipelines.stages.dedupe.params import DedupeParams
    from pipelines.stages.dedupe.report import count_dropped, summarize

    params, resources, schema = load_params("dedupe", DedupeParams), load_resources(), load_domain().schema
    overrides = require_open(project.store, "ingest")
    records = store.read_records("ingest")
    found = split_duplicates(records, near=params.near_duplicates, seed=resources.seed, threads=resources.threads)
    table = count_dropped(records, dropped=found.dropped, protected=schema.protected)
    logger.info("%d records in, %d kept, %d dropped", len(records), len(found.kept), len(found.dropped))
    store.write_records("dedupe", found.kept)
    store.write_records("dedupe", found.dropped, name="dropped")
    store.write_table("dedupe", "dropped.csv", table)
    store.write_metrics("dedupe", summarize(found, table=table), headline={"rows": len(found.kept)})
    store.write_verdict(judge(found, params=params, overrides=overrides))


if __name__ == "__main__":
    stage.run("dedupe", main)
