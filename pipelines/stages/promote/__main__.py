"""Decide against the pinned champion and freeze the drift profile: data/evaluate, data/champion -> data/promote."""

import logging
from dataclasses import replace

import pandas as pd

from pipelines.gates.status import require_open
from pipelines.gates.verdict import Check, Verdict
from pipelines.models.candidates import model_folder
from pipelines.models.predictor import Predictor
from pipelines.records.domain import Domain
from pipelines.records.schema import DomainSchema
from pipelines.runtime import runner
from pipelines.runtime.champion import Champion, read_champion, why_not_compared
from pipelines.runtime.project import Project
from pipelines.runtime.store import folder_digest
from pipelines.stages.promote.decision import decide
from pipelines.stages.promote.evidence import read_evaluated
from pipelines.stages.promote.inputs import champion_checks, contest, describe_rows, evidence_checks, gold_rows
from pipelines.stages.promote.params import PromoteParams
from pipelines.stages.promote.reference import freeze_profile
from pipelines.stages.promote.rules import Contest

logger = logging.getLogger(__name__)
GATES = ("ingest", "dedupe", "split", "label", "bias_gate", "evaluate")


def main(project: Project) -> None:
    """Read the evidence and the champion, decide, and write decision, verdict and profile."""
    store, params = project.store, project.section("promote", PromoteParams)
    used = require_open(store, *GATES)
    schema, champion = Domain(project.domain_folder).schema, read_champion(store)
    evaluated, split = read_evaluated(store.path("evaluate")), store.read_records("split")
    candidate = evaluated.candidate
    predictions = store.read_records("evaluate", name="predictions")
    mine = predictions[predictions["candidate"] == candidate]
    model = model_folder(store, candidate)
    digest = folder_digest(model)
    recent = gold_rows(split, part="recent", without=champion.trained_ids() if champion else set())
    checks = evidence_checks(
        recent,
        mine[mine["part"] == "recent"],
        labels=schema.labels,
        digest=digest,
        evaluated=evaluated.model_digest,
        min_rows=params.min_rows,
    )
    against, floor = _contests(
        champion, project=project, recent=recent, split=split, mine=mine, schema=schema, checks=checks
    )
    decision = decide(
        candidate,
        checks,
        recent=against,
        anchor=floor,
        same_model=champion is not None and champion.model_digest == digest,
        schema=schema,
        params=params,
        seed=project.resources.seed,
    )
    if decision.action == "release" and (why := why_not_compared(store)):
        decision = replace(decision, action="keep", reason=f"Kept: {why}. {decision.reason}")
    logger.info("%s", decision.reason)
    uses = (champion.decisions_used if champion else 0) + 1
    details = {
        "test_sets": {
            "recent": describe_rows(recent, decisions_used=1),
            "anchor": describe_rows(gold_rows(split, part="anchor", without=set()), decisions_used=uses),
        },
        "seed": project.resources.seed,
        "params": params.model_dump(mode="json", exclude={"profile", "predicted_rows", "embedded_rows"}),
    }
    profile = freeze_profile(
        store.read_records("ingest"),
        split,
        mine,
        model=model,
        models_folder=project.models_folder,
        digest=digest,
        schema=schema,
        params=params,
    )
    facts = {"candidate": candidate, "model_digest": digest, "champion": _summary(champion), "decisions_used": uses}
    if profile.identifiers:
        facts["not_watched_for_drift"] = ", ".join(profile.identifiers)
        logger.warning(
            "left out of the drift profile, because nearly every value is new: %s", facts["not_watched_for_drift"]
        )
    # `dvc metrics show` leaves lists out of its table
    store.write_json("promote", "decision.json", decision.as_dict() | facts | {"details": [details]})
    with store.writing_folder("promote", "profile") as folder:
        profile.write(folder)
    store.write_verdict(Verdict.of("promote", decision.soundness, overrides=used))


def _contests(
    champion: Champion | None,
    *,
    project: Project,
    recent: pd.DataFrame,
    split: pd.DataFrame,
    mine: pd.DataFrame,
    schema: DomainSchema,
    checks: list[Check],
) -> tuple[Contest | None, Contest | None]:
    """Return the comparison on `recent` and, with a champion, the one on `anchor`; adds the champion's checks."""
    own = {part: mine[mine["part"] == part] for part in ("recent", "anchor")}
    if champion is None:
        prior = "always predicting the most frequent class"
        return contest(recent, candidate=own["recent"], rival=None, against=prior, labels=schema.labels), None
    best = champion.anchor_best_predictions()
    floor = contest(
        gold_rows(split, part="anchor", without=set()),
        candidate=own["anchor"],
        rival=best,
        against=f"the best champion so far (version {champion.anchor_best['version']})",
        labels=schema.labels,
    )
    floor = replace(floor, decisions=champion.decisions_used + 1)
    checks += champion_checks(
        domain=champion.domain, labels=champion.labels, schema=schema, shared=len(floor.gold), frozen=len(best)
    )
    if any(check.closes for check in checks):
        return None, floor
    logger.info("champion version %d predicts %d gold rows of recent", champion.version, len(recent))
    theirs = Predictor.load(champion.model_folder, models_folder=project.models_folder).predict(recent)
    name = f"champion version {champion.version}"
    return contest(recent, candidate=own["recent"], rival=theirs, against=name, labels=schema.labels), floor


def _summary(champion: Champion | None) -> dict[str, object] | None:
    if champion is None:
        return None
    return {
        "version": champion.version,
        "model_digest": champion.model_digest,
        "anchor_best": champion.anchor_best,
        "decisions_used": champion.decisions_used,
    }


if __name__ == "__main__":
    runner.run("promote", main)
