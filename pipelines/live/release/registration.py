"""Register a candidate: audit its labels, package it, put it through the pre-flight, and make it a version."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from typing import Any

from pipelines.live.release.audit import audit_retraining
from pipelines.live.release.package import build_package
from pipelines.live.release.params import ReleaseParams
from pipelines.live.release.preflight import run_preflight, save_model
from pipelines.live.release.registry import Registry
from pipelines.monitoring.live_state import live_folder
from pipelines.records.domain import Domain
from pipelines.runtime.project import Project

logger = logging.getLogger(__name__)


def register_candidate(project: Project, registry: Registry, decision: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Register the candidate of a decision and return its version and {"figures", "verdict"} of the pre-flight.

    Raises GateClosed when the feedback check or the pre-flight fails, InputError when a file is not the one that was
    decided on. No version exists then.
    """
    params, schema = project.section("release", ReleaseParams), Domain(project.domain_folder).schema
    feedback = audit_retraining(project.store, live_folder(project), max_share=params.max_self_labeled_share)
    staging = project.state / "staging" / str(decision["model_digest"])[:16]
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        package, saved = staging / "package", staging / "model"
        package.mkdir()
        logger.info("packaging %s with its encoder, profile and evidence", decision["candidate"])
        manifest = build_package(package, project, decision=decision, schema=schema)
        save_model(
            package,
            saved,
            root=project.root,
            features={feature.name: feature.kind for feature in schema.features},
        )
        logger.info("pre-flight: loading the model as it will be served and measuring it under load")
        preflight = run_preflight(
            saved, store=project.store, schema=schema, params=params, candidate=decision["candidate"]
        )
        tags = {
            "candidate": str(decision["candidate"]),
            "git_commit": str(manifest["git_commit"]),
            "dvc_lock": str(manifest["dvc_lock"]),
            "domain": schema.name,
            "preflight": json.dumps(preflight["figures"], sort_keys=True),
            "feedback": json.dumps(feedback, sort_keys=True),
        }
        version = registry.register(
            saved,
            candidate_digest=decision["model_digest"],
            tags=tags,
            metrics=macro_f1_scores(project.store.read_metrics("evaluate")),
        )
        logger.info("registered version %s of %s", version, registry.model_name)
        return version, preflight
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def macro_f1_scores(evaluated: Mapping[str, Any]) -> dict[str, float]:
    """Return the macro-F1 of the candidates and of the reference on each test set, as metrics of an MLflow run."""
    names = [name for name in ("baseline", "finetune", "blend", "reference") if name in evaluated]
    found = {f"{name}_{part}": evaluated[name][part]["macro_f1"] for name in names for part in ("recent", "anchor")}
    return {f"macro_f1_{name}": value for name, value in found.items() if value is not None}
