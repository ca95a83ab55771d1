"""Cut train, validation and the two gold test sets: data/dedupe -> data/split."""

from __future__ import annotations

import logging

from pipelines.runtime.project import Project
from pipelines.runtime.runner import run

logger = logging.getLogger("pipelines.stages.split")


def main(project: Project) -> None:
    """Read kept records and the champion's anchor set, give every record its part, and write them with the verdict."""
    from pipelines.gates.status import require_open
    from pipelines.records.domain import Domain
    from pipelines.runtime.champion import read_champion
    from pipelines.stages.split.cut import check_split, split_records
    from pipelines.stages.split.params import SplitParams
    from pipelines.stages.split.report import summarize

    store, resources = project.store, project.resources
    params, schema = project.section("split", SplitParams), Domain(project.domain_folder).schema
    overrides = require_open(store, "dedupe")
    records, copies = store.read_records("dedupe"), store.read_records("dedupe", name="dropped")
    champion = read_champion(store)
    anchor = None if champion is None else champion.anchor()
    seeds = {"seed": resources.seed, "threads": resources.threads}
    parted = split_records(records, copies=copies, anchor=anchor, schema=schema, params=params, **seeds)
    metrics = summarize(parted, labels=schema.labels, protected=schema.protected)
    logger.info("%d records in, parts %s, discarded %s", len(records), metrics["parts"], metrics["discarded"])
    store.write_records("split", parted.output)
    store.write_metrics("split", metrics, headline={"rows": len(parted.output)})
    store.write_verdict(check_split(parted, schema=schema, params=params, overrides=overrides, **seeds))


if __name__ == "__main__":
    run("split", main)
