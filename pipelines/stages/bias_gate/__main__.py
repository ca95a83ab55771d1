"""Measure which groups are left out or labeled incorrectly: data/label -> data/bias_gate."""

from __future__ import annotations

import dataclasses
import logging

from pipelines.runtime import runner
from pipelines.runtime.project import Project

logger = logging.getLogger("pipelines.stages.bias_gate")
READ = ("ingest", "dedupe", "split", "label")


def main(project: Project) -> None:
    """Read what the earlier stages wrote, measure parity, and write weights, verdict, parity and metrics."""
    from pipelines.gates.evidence import evidence_digests
    from pipelines.gates.status import require_open
    from pipelines.gates.verdict import Verdict
    from pipelines.records.domain import Domain
    from pipelines.stages.bias_gate.causes import Votes
    from pipelines.stages.bias_gate.gate import LabeledRecords, least_ratio, measure_bias
    from pipelines.stages.bias_gate.params import BiasGateParams
    from pipelines.stages.bias_gate.row_outcomes import outcomes_by_group, row_outcomes
    from pipelines.stages.bias_gate.text_probe import probe_texts

    store, params = project.store, project.section("bias_gate", BiasGateParams)
    schema = Domain(project.domain_folder).schema
    schema.require_protected(params.undecided_passes, parameter="bias_gate.undecided_passes")
    overrides = require_open(store, "label")
    attributes = [attribute.name for attribute in schema.protected]
    records = store.read_records("split")
    ingested = store.read_records("ingest", columns=["id", *attributes])
    labeled, voted = store.read_records("label"), store.read_records("label", name="votes")
    outcomes = row_outcomes(
        ingested,
        dropped=store.read_records("dedupe", name="dropped"),
        split_ids=records["id"],
        labeled_ids=labeled.loc[labeled["weak_label"].notna(), "id"],
    )
    votes = Votes(
        voted.drop(columns="id").to_numpy(),
        names=[name for name in voted.columns if name != "id"],
        ties=store.read_metrics("label")["tie_policy"],
    )
    data = LabeledRecords(
        records, labeled["weak_label"], labeled["training_label"], votes, ingested=ingested, outcomes=outcomes
    )
    bias = measure_bias(data, schema=schema, params=params)
    probe_checks, probed = probe_texts(records, schema=schema, params=params, seed=project.resources.seed)
    checks = [*bias.checks, *probe_checks]
    verdict = Verdict.of("bias_gate", checks, shown_records=bias.shown, overrides=overrides)
    logger.info("%d checks, %s", len(checks), "open" if verdict.passed else "closed")
    files = [f"{name}/{file}" for name in READ for file in ("metrics.json", "verdict.json")]
    metrics = bias.metrics | {
        "domain": dataclasses.asdict(schema),
        "row_outcomes": outcomes_by_group(outcomes, ingested=ingested, attributes=attributes),
        "text_probe": probed,
        "disparate_impact_limit": params.min_disparate_impact,
        "inputs": evidence_digests(store, [*files, "label/functions.csv"]),
    }
    store.write_records("bias_gate", bias.weights)
    store.write_table("bias_gate", "parity.csv", bias.parity)
    headline = {"rows": len(bias.weights), "least_parity": least_ratio(bias.parity)}
    store.write_metrics("bias_gate", metrics, headline=headline)
    store.write_verdict(verdict)


if __name__ == "__main__":
    runner.run("bias_gate", main)
