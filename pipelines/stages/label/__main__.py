"""Label records without hand labels: data/split -> data/label."""

from __future__ import annotations

import logging

from pipelines.runtime.project import Project
from pipelines.runtime.runner import run

logger = logging.getLogger("pipelines.stages.label")


def main(project: Project) -> None:
    """Vote, choose how votes become labels, measure on gold, and write labels, queue, summary and verdict."""
    from pipelines.gates.status import load_verdict, require_open
    from pipelines.gates.verdict import Verdict
    from pipelines.records.domain import Domain
    from pipelines.records.labeling import cast_votes, check_examples
    from pipelines.stages.label.measure import check_labels, disagreements, gold_codes, labeled_rows, metrics_of
    from pipelines.stages.label.params import LabelParams
    from pipelines.stages.label.quality import summarize_functions
    from pipelines.stages.label.queue import queue_for_people
    from pipelines.stages.label.voting import choose_labeling

    store, params, domain = project.store, project.section("label", LabelParams), Domain(project.domain_folder)
    overrides = require_open(store, "split")
    schema, functions = domain.schema, domain.labeling_functions
    attributes = [attribute.name for attribute in schema.protected]
    check_examples(functions, labels=schema.labels)
    records = store.read_records("split")
    votes = cast_votes(functions, records, labels=schema.labels)
    matrix = votes.drop(columns="id").to_numpy()
    labeling = choose_labeling(
        matrix,
        records=records,
        gold=gold_codes(records, labels=schema.labels, parts=params.chosen_on),
        chosen_on=params.chosen_on,
        n_labels=len(schema.labels),
        ties=params.ties,
        confidence=params.confidence,
        seed=project.resources.seed,
        **params.label_model.model_dump(),
    )
    gold = gold_codes(records, labels=schema.labels, parts=params.measured_parts)
    rows = labeled_rows(labeling, records=records, matrix=matrix, labels=schema.labels, train_on=params.train_on)
    checks = check_labels(labeling, records=records, written=rows, gold=gold, labels=schema.labels, params=params)
    shown = disagreements(labeling, votes=votes, records=records, gold=gold, labels=schema.labels)
    suspected = [row["id"] for row in load_verdict(store, "split")[0].shown_records]
    queue = queue_for_people(
        records.assign(suspect_gold=records["id"].isin(suspected)),
        matrix=matrix,
        codes=labeling.codes,
        soft=labeling.soft,
        labels=schema.labels,
        shown=attributes,
        rows=params.queue_rows,
        margin_below=params.max_queue_margin,
    )
    summary = summarize_functions(
        functions, matrix, gold=gold, groups=records[attributes], confidence=params.confidence
    )
    metrics = metrics_of(
        labeling, matrix, gold=gold, records=records, written=rows, labels=schema.labels, params=params
    )
    logger.info("%d records, %d labeled by %s: %s", len(records), metrics["labeled"], labeling.method, labeling.reason)
    store.write_records("label", rows)
    store.write_records("label", votes, name="votes")
    store.write_records("label", queue, name="queue")
    store.write_table("label", "functions.csv", summary)
    headline = {"rows": metrics["labeled"], **{name: metrics[name] for name in ("coverage", "kappa", "kappa_low")}}
    store.write_metrics("label", {**metrics, "queue_rows": len(queue)}, headline=headline)
    store.write_verdict(Verdict.of("label", checks, shown_records=shown, overrides=overrides))


if __name__ == "__main__":
    run("label", main)
