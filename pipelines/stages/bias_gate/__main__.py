"""Judge who is left out or labeled wrongly, and report on the data: data/label -> data/bias_gate."""

from __future__ import annotations

import logging

from pipelines.runtime import runner as stage
from pipelines.runtime.project import Project

logger = logging.getLogger("pipelines.stages.bias_gate")


def main(project: Project) -> None:
    """Read what every stage so far wrote, judge parity, and write weights, verdict, parity and the data report."""
    from pipelines.gates.status import require_open
    from pipelines.gates.verdict import Verdict
    from pipelines.records.domain import load_domain
    from pipelines.runtime import store
    from pipelines.runtime.params import load_params
    from pipelines.stages.bias_gate.gate import judge, least_ratio
    from pipelines.stages.bias_gate.params import BiasGateParams
    from pipelines.stages.bias_gate.report import data_report
    from pipelines.stages.bias_gate.upstream import fates, fates_by_group

    params, schema = load_params("bias_gate", BiasGateParams), load_domain().schema
    overrides = require_open(project.store, "label")
    attributes = [attribute.name for attribute in schema.protected]
    records = store.read_records("split")
    ingested = store.read_records("ingest", columns=["id", *attributes])
    labeled, votes = store.read_records("label"), store.read_records("label", name="votes")
    metrics = {name: store.read_metrics(name) for name in ("ingest", "dedupe", "split", "label")}
    fate = fates(
        ingested,
        dropped=store.read_records("dedupe", name="dropped"),
        split_ids=records["id"],
        labeled_ids=labeled.loc[labeled["weak_label"].notna(), "id"],
    )
    evidence = judge(
        records,
        weak=labeled["weak_label"],
        matrix=votes.drop(columns="id").to_numpy(),
        names=[name for name in votes.columns if name != "id"],
        ties=metrics["label"]["tie_policy"],
        ingested=ingested,
        fate=fate,
        schema=schema,
        params=params,
    )
    verdict = Verdict.of("bias_gate", evidence.checks, shown_records=evidence.shown, overrides=overrides)
    logger.info("%d checks, %s", len(evidence.checks), "open" if verdict.passed else "closed")
    earlier = [store.read_json(name, "verdict.json") for name in ("ingest", "dedupe", "split", "label")]
    page = data_report(
        schema=schema,
        metrics=metrics | {"bias_gate": evidence.metrics},
        verdicts=[*earlier, verdict.to_dict()],
        functions=store.read_table("label", "functions.csv"),
        fates=fates_by_group(fate, ingested=ingested, attributes=attributes),
        disparate_impact_limit=params.disparate_impact_at_least,
    )
    store.write_records("bias_gate", evidence.weights)
    store.write_table("bias_gate", "parity.csv", evidence.parity)
    headline = {"rows": len(evidence.weights), "least_parity": least_ratio(evidence.parity)}
    store.write_metrics("bias_gate", evidence.metrics, headline=headline)
    store.write_text("bias_gate", "report.html", page)
    store.write_verdict(verdict)


if __name__ == "__main__":
    stage.run("bias_gate", main)
