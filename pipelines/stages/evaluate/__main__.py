"""Measure the candidates on both gold test sets and choose one: data/split, data/*/model -> data/evaluate."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.gates.evidence import evidence_digests
from pipelines.gates.status import require_open
from pipelines.gates.verdict import Verdict
from pipelines.models.candidates import BASELINE, BLEND, FINETUNE, model_folder
from pipelines.models.manifest import MANIFEST
from pipelines.models.predictor import Predictor
from pipelines.records.domain import Domain
from pipelines.runtime import runner
from pipelines.runtime.project import Project
from pipelines.runtime.store import Store, file_digest, folder_digest
from pipelines.stages.evaluate.behaviors import behavior_records, check_behaviors
from pipelines.stages.evaluate.blend import Blend, blend_of, write_blend
from pipelines.stages.evaluate.card import card_facts
from pipelines.stages.evaluate.checks import evidence_check
from pipelines.stages.evaluate.counterfactual import count_changes, counterfactual_checks
from pipelines.stages.evaluate.latency import latencies
from pipelines.stages.evaluate.measurement import TEST_SETS, checks_of, measure
from pipelines.stages.evaluate.params import EvaluateParams
from pipelines.stages.evaluate.predictions import answers_of, gold_rows, prediction_table
from pipelines.stages.evaluate.reference import compare_with_reference, fit_reference
from pipelines.stages.evaluate.scores import Answers, reliability_table
from pipelines.training.absence import absence_of, write_absence
from pipelines.training.training_set import read_training_set
from pipelines.training.validation import read_validation

logger = logging.getLogger(__name__)
GATES = ("ingest", "dedupe", "split", "label", "bias_gate")
MEASURED = ("ingest", "dedupe", "split", "label", "bias_gate", "baseline", "finetune")


def main(project: Project) -> None:
    """Predict, measure, choose, check, and write the evidence."""
    store, params = project.store, project.section("evaluate", EvaluateParams)
    used = require_open(store, *GATES)
    domain = Domain(project.domain_folder)
    reasons = params.fairness.undecided_passes
    domain.schema.require_protected(reasons, parameter="evaluate.fairness.undecided_passes")
    records = store.read_records("split")
    tests = {part: gold_rows(records, part=part) for part in TEST_SETS}
    singles = (BASELINE, FINETUNE)
    absent = {name: why for name in singles if (why := absence_of(model_folder(store, name)))}
    predictors = {
        name: Predictor.load(model_folder(store, name), models_folder=project.models_folder)
        for name in singles
        if name not in absent
    }
    blend: Blend | str = "there is no fine-tuned model"
    if FINETUNE in predictors:
        blend = blend_of(
            records,
            models={name: model_folder(store, name) for name in singles},
            read=partial(read_validation, store, labels=domain.schema.labels),
            labels=domain.schema.labels,
            params=params.blend,
            by=params.cluster_by,
        )
    answers, table = _predict(predictors, tests, labels=domain.schema.labels, blend=blend)
    absent |= {BLEND: blend} if isinstance(blend, str) else {}
    found = measure(answers, tests, schema=domain.schema, params=params, seed=project.resources.seed, absent=absent)
    chosen = found.choice.candidate
    labels, features = domain.schema.labels, domain.schema.features
    same_rows = read_training_set(store, labels=labels, soft=False, balanced=False)
    reference = compare_with_reference(
        fit_reference(same_rows, tests, labels=labels, features=features),
        answers[chosen, "recent"],
        candidate=chosen,
        resamplings=found.resamplings,
        confidence=params.confidence,
    )
    logger.log(logging.INFO if reference["lead"] == "proven" else logging.WARNING, "%s", reference["sentence"])
    behaviors = _behaviors(predictors, blend, domain=domain)
    predictors |= _write_blend(store, blend, predictors)
    exchanged = count_changes(
        predictors[chosen],
        tests["recent"],
        [labels[code] for code in answers[chosen, "recent"].predicted],
        store.read_metrics("bias_gate").get("text_probe", {}),
        schema=domain.schema,
    )
    models = {name: folder_digest(model_folder(store, name)) for name in predictors}
    store.write_json("latency", "latency.json", latencies(predictors, tests["recent"], models=models))
    store.write_records("evaluate", table, name="predictions")
    metrics: dict[str, Any] = found.as_metrics() | {
        "models": models,
        "blend_weight": blend.as_metrics() if isinstance(blend, Blend) else None,
        "reference": reference,
        "behaviors": {name: {item["name"]: item["pass_rate"] for item in items} for name, items in behaviors.items()},
        "predictions": file_digest(store.path("evaluate", "predictions.parquet")),
        "card": card_facts(found, tests, behaviors[chosen], schema=domain.schema, params=params)
        | {"counterfactual": exchanged}
        | {"lineage": _lineage(store, domain_folder=domain.folder, models=models)},
        "inputs": evidence_digests(
            store, [f"{name}/metrics.json" for name in MEASURED] + [f"{name}/verdict.json" for name in GATES]
        ),
    }
    recent = metrics[chosen]["recent"]
    scores = {name: recent[name] for name in ("rows", "macro_f1", "macro_f1_lower", "accuracy", "log_loss")}
    store.write_metrics("evaluate", metrics, headline={**scores, "candidate": chosen})
    asked = len(predictors) * sum(len(rows) for rows in tests.values())
    checks = checks_of(found, answers, behaviors[chosen], params=params)
    limits = params.fairness
    checks += counterfactual_checks(
        exchanged, limit=limits.max_counterfactual_changes, min_rows=limits.min_group_rows, schema=domain.schema
    )
    checks.append(evidence_check(len(table), asked=asked, metrics=file_digest(store.path("evaluate", "metrics.json"))))
    store.write_table("evaluate", "reliability.csv", reliability_table(found.scores))
    store.write_table("evaluate", "slices.csv", found.slice_table())
    store.write_verdict(Verdict.of("evaluate", checks, overrides=used))


def _predict(
    predictors: dict[str, Predictor], tests: dict[str, pd.DataFrame], *, labels: tuple[str, ...], blend: Blend | str
) -> tuple[dict[tuple[str, str], Answers], pd.DataFrame]:
    """Return every candidate's answers by (candidate, part), and the table of predictions.

    The blend's are computed from those of its members, as its predictor does.
    """
    answers, tables = {}, []
    for name, predictor in predictors.items():
        for part, rows in tests.items():
            logger.info("%s predicts %d gold rows of %s", name, len(rows), part)
            probabilities = predictor.predict_proba(rows) if len(rows) else np.zeros((0, len(predictor.labels)))
            answers[name, part] = answers_of(rows, probabilities, labels=labels, given=predictor.labels)
    if isinstance(blend, Blend):
        for part, rows in tests.items():
            one, other = (answers[name, part].probabilities for name in (BASELINE, FINETUNE))
            answers[BLEND, part] = answers_of(rows, blend.probabilities(one, other), labels=labels, given=labels)
    for (name, part), found in answers.items():
        tables.append(prediction_table(tests[part], found, part=part, candidate=name))
    return answers, pd.concat(tables, ignore_index=True)


def _behaviors(
    predictors: dict[str, Predictor], blend: Blend | str, *, domain: Domain
) -> dict[str, list[dict[str, Any]]]:
    """Return the pass rates of every candidate."""
    records = behavior_records(domain.behaviors, schema=domain.schema)
    heard = {name: predictor.predict_proba(records) for name, predictor in predictors.items()}
    if isinstance(blend, Blend):
        heard[BLEND] = blend.probabilities(heard[BASELINE], heard[FINETUNE])
    labels = predictors[BASELINE].labels
    return {name: check_behaviors(domain.behaviors, found, labels=labels) for name, found in heard.items()}


def _write_blend(store: Store, blend: Blend | str, predictors: dict[str, Predictor]) -> dict[str, Predictor]:
    """Write the folder of the blend, or why there is none; return its predictor by its name, or nothing."""
    with store.writing_folder("evaluate", "blend") as folder:
        if isinstance(blend, str):
            write_absence(folder, blend)
            return {}
        logger.info("the fine-tuned model has the weight %g in the blend", blend.weight)
        manifest = write_blend(folder, blend, models={name: model_folder(store, name) for name in predictors})
    return {BLEND: Predictor.blend(manifest, predictors, folder=model_folder(store, BLEND))}


def _lineage(store: Store, *, domain_folder: Path, models: dict[str, str]) -> list[tuple[str, str]]:
    """Return the name and the digest of each input, and the source, that the evidence rests on."""
    read = store.read_metrics("ingest")
    found = [("Source", str(read["source"]["description"]))] if "source" in read else []
    found.append(("Raw input, as ingest read it", str(read.get("raw_digest"))))
    found.append(("Split records", file_digest(store.path("split", "records.parquet"))))
    found += [(f"Domain {name}", file_digest(domain_folder / name)) for name in ("schema.py", "behaviors.py")]
    for name, digest in models.items():
        folder = model_folder(store, name)
        found.append((f"Model of {name}, {folder.relative_to(store.folder.parent)}", digest))
        base = json.loads((folder / MANIFEST).read_bytes()).get("encoder") or {}
        if "name" in base:
            found.append((f"Its base model, {base['name']}", base["sha256"]))
    return found + [(f"Verdict of {name}", str(store.read_json(name, "verdict.json").get("digest"))) for name in GATES]


if __name__ == "__main__":
    runner.run("evaluate", main)
