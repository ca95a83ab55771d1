"""Cut train, validation and the two gold test sets: data/dedupe -> data/split."""

import logging

from pipelines.runtime import runner as stage
from pipelines.runtime.project import Project

logger = logging.getLogger("pipelines.stages.split")


def main(project: Project) -> None:
    """Read kept records and the champion's anchor set, give every record its part, and write them with the verdict."""
    from pipelines.gates.status import require_open
    from pipelines.records.domain import load_domain
    from pipelines.runtime import store
    from pipelines.runtime.champion import read_champion
    from pipelines.runtime.params import load_params, load_resources
    from pipelines.stages.split.cut import judge, split_records
    from pipelines.stages.split.params import SplitParams
    from pipelines.stages.split.report import summarize

    params, resources, schema = load_params("split", SplitParams), load_resources(), load_domain().schema
    overrides = require_open(project.store, "dedupe")
    records, copies = store.read_records("dedupe"), store.read_records("dedupe", name="dropped")
    champion = read_champion(project.store)
    anchor = None if champion is None else champion.anchor()
    seeds = {"seed": resources.seed, "threads": resources.threads}
    parted = split_records(records, copies=copies, anchor=anchor, schema=schema, params=params, **seeds)
    metrics = summarize(parted, labels=schema.labels, protected=schema.protected)
    logger.info("%d records in, parts %s, discarded %s", len(records), metrics["parts"], metrics["discarded"])
    store.write_records("split", parted.output)
    store.write_metrics("split", metrics, headline={"rows": len(parted.output)})
    store.write_verdict(judge(parted, schema=schema, params=params, overrides=overrides, **seeds))


if __name__ == "__main__":
    stage.run("split", main)
