"""Measure both candidates on both gold test sets and pick one: data/split, data/*/model -> data/evaluate."""

import logging

import numpy as np
import pandas as pd

from pipelines.gates.status import require_open
from pipelines.gates.verdict import Verdict
from pipelines.models.predictor import Predictor
from pipelines.records.domain import Domain, load_domain
from pipelines.runtime import runner as stage
from pipelines.runtime import store
from pipelines.runtime.params import load_params, load_resources
from pipelines.runtime.project import Project
from pipelines.stages.evaluate.behaviors import run_behaviors
from pipelines.stages.evaluate.card import NAMES, Evidence, day_span, render_card
from pipelines.stages.evaluate.checks import evidence_check
from pipelines.stages.evaluate.measurement import CANDIDATES, TEST_SETS, checks_of, measure
from pipelines.stages.evaluate.params import EvaluateParams
from pipelines.stages.evaluate.predictions import answers_of, gold_rows, prediction_table
from pipelines.stages.evaluate.scores import reliability_table

logger = logging.getLogger(__name__)
GATES = ("ingest", "dedupe", "split", "label", "bias_gate")
MEASURED = ("ingest", "dedupe", "split", "label", "bias_gate", "baseline", "finetune")


def main(project: Project) -> None:
    """Predict, measure, choose, check, and write the evidence."""
    params, seed = load_params("evaluate", EvaluateParams), load_resources().seed
    used = require_open(project.store, *GATES)
    domain = load_domain()
    schema, records = domain.schema, store.read_records("split")
    tests = {part: gold_rows(records, part=part) for part in TEST_SETS}
    predictors = {
        name: Predictor.load(store.path(name, "model"), models_folder=project.models_folder) for name in CANDIDATES
    }
    answers, tables = {}, []
    for name, predictor in predictors.items():
        for part, rows in tests.items():
            logger.info("%s answers %d gold rows of %s", name, len(rows), part)
            said = predictor.predict_proba(rows) if len(rows) else np.zeros((0, len(predictor.labels)))
            answers[name, part] = answers_of(rows, said, labels=schema.labels, given=predictor.labels)
            tables.append(prediction_table(rows, answers[name, part], part=part, candidate=name))
    found = measure(answers, tests, schema=schema, params=params, seed=seed)
    chosen = found.choice.candidate
    behaviors = {
        name: run_behaviors(domain.behaviors, predictor, schema=schema) for name, predictor in predictors.items()
    }
    models = {name: store.folder_digest(store.path(name, "model")) for name in CANDIDATES}
    metrics = found.as_metrics() | {
        "models": models,
        "behaviors": {name: {item["name"]: item["pass_rate"] for item in items} for name, items in behaviors.items()},
    }
    table = pd.concat(tables, ignore_index=True)
    store.write_records("evaluate", table, name="predictions")
    metrics["predictions"] = store.file_digest(store.path("evaluate", "predictions.parquet"))
    recent = metrics[chosen]["recent"]
    scores = {name: recent[name] for name in ("rows", "macro_f1", "macro_f1_lower", "accuracy", "log_loss")}
    store.write_metrics("evaluate", metrics, headline={**scores, "candidate": chosen})
    checks = checks_of(found, answers, behaviors[chosen], params=params)
    asked = len(CANDIDATES) * sum(len(rows) for rows in tests.values())
    checks.append(
        evidence_check(len(table), asked=asked, metrics=store.file_digest(store.path("evaluate", "metrics.json")))
    )
    verdict = Verdict.of("evaluate", checks, overrides=used)
    store.write_table("evaluate", "reliability.csv", reliability_table(found.scores))
    store.write_table("evaluate", "slices.csv", found.slice_table())
    store.write_verdict(verdict)
    evidence = Evidence(
        schema=schema,
        choice=found.choice,
        scores=found.scores,
        spans={part: day_span(rows) for part, rows in tests.items()},
        slices=found.slices[chosen],
        fairness=found.fairness[chosen],
        groups=found.groups,
        behaviors=behaviors[chosen],
        verdict=verdict,
        gates={name: store.read_json(name, "verdict.json") for name in GATES},
        metrics={name: store.read_metrics(name) for name in MEASURED},
        lineage=_lineage(domain, models),
        confidence=params.confidence,
        min_slice_rows=params.slices.min_rows,
    )
    store.write_text("evaluate", "model_card.html", render_card(evidence))


def _lineage(domain: Domain, models: dict[str, str]) -> list[tuple[str, str]]:
    """Digests of the files that this evidence rests on."""
    files = {"Split records": store.path("split", "records.parquet")}
    files |= {f"Domain {name}": domain.folder / name for name in ("schema.py", "behaviors.py")}
    found = [("Raw input, as ingest read it", str(store.read_metrics("ingest").get("raw_digest")))]
    found += [(what, store.file_digest(file)) for what, file in files.items()]
    for name, digest in models.items():
        found.append((f"{NAMES[name]}, data/{name}/model", digest))
        base = store.read_json(name, "model/predictor.json").get("encoder") or {}
        if "name" in base:
            found.append((f"Its base model, {base['name']}", base["sha256"]))
    gates = [(f"Verdict of {name}", str(store.read_json(name, "verdict.json").get("digest"))) for name in GATES]
    return found + gates


if __name__ == "__main__":
    stage.run("evaluate", main)
