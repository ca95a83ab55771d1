"""Cut train, validation and the two gold test sets: data/dedupe -> data/split."""

import logging

from pipelines.core import stage

logger = logging.getLogger("pipelines.split")


def main() -> None:
    """Read kept records and the champion's anchor set, give every record its part, and write them with the verdict."""
    from pipelines.core import store
    from pipelines.core.champion import read_champion
    from pipelines.core.domain import load_domain
    from pipelines.core.gates import require_open
    from pipelines.core.params import load_params, load_resources
    from pipelines.split.cut import judge, split_records
    from pipelines.split.params import SplitParams
    from pipelines.split.report import summarise

    params, resources, schema = load_params("split", SplitParams), load_resources(), load_domain().schema
    overrides = require_open("dedupe")
    records, copies = store.read_records("dedupe"), store.read_records("dedupe", name="dropped")
    champion = read_champion()
    anchor = None if champion is None else champion.anchor()
    seeds = {"seed": resources.seed, "threads": resources.threads}
    parted = split_records(records, copies=copies, anchor=anchor, schema=schema, params=params, **seeds)
    metrics = summarise(parted, labels=schema.labels, protected=schema.protected)
    logger.info("%d records in, parts %s, discarded %s", len(records), metrics["parts"], metrics["discarded"])
    store.write_records("split", parted.output)
    store.write_metrics("split", metrics, headline={"rows": len(parted.output)})
    store.write_verdict(judge(parted, schema=schema, params=params, overrides=overrides, **seeds))


if __name__ == "__main__":
    stage.run("split", main)
