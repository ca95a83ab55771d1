"""The package of a version: model with its encoder, profile, anchor set, evidence, and a manifest of digests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.gates.status import override_file
from pipelines.reporting.pages import PAGES, render_page
from pipelines.runtime.champion import read_champion
from pipelines.runtime.errors import InputError
from pipelines.runtime.programs import git
from pipelines.runtime.project import Project
from pipelines.runtime.store import Store, file_digest, folder_digest, to_json

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.records.schema import DomainSchema

EVIDENCE = ("fingerprint.json", "metrics.json", "verdict.json", "decision.json", "functions.csv")


def build_package(target: Path, project: Project, *, decision: dict[str, Any], schema: DomainSchema) -> dict[str, Any]:
    """Fill the empty folder `target` with everything that a version needs and return its manifest.

    Raises InputError when the model on disk is not the one that was decided on.
    """
    from pipelines.models.candidates import model_folder

    root, data = project.root, project.store.folder
    model = model_folder(project.store, str(decision["candidate"]))
    if not model.is_dir():
        raise InputError(f"{model} is missing; run `dvc checkout` or `dvc repro`")
    if (found := folder_digest(model)) != decision["model_digest"]:
        raise InputError(
            f"{model} has digest {found[:12]}, the decision was made on {str(decision['model_digest'])[:12]}; "
            "run `dvc repro` before the release"
        )
    shutil.copytree(model, target / "model")
    _add_encoder(target / "model", models_folder=project.models_folder)
    shutil.copytree(data / "promote" / "profile", target / "profile")
    _write_rows(target, project.store, decision=decision)
    _copy_evidence(target / "evidence", project)
    manifest = {
        "candidate": decision["candidate"],
        "model_digest": decision["model_digest"],
        "domain": schema.name,
        "labels": list(schema.labels),
        "git_commit": git_commit(root),
        "dvc_lock": file_digest(root / "dvc.lock") if (root / "dvc.lock").exists() else None,
        "decisions_used": int(decision.get("decisions_used", 1)),
        "files": file_digests(target),
    }
    (target / "manifest.json").write_bytes(to_json(manifest))
    return manifest


def git_commit(root: Path) -> str | None:
    """Return the commit of the checkout, with `+` when tracked files differ from it; None where Git has none."""
    commit = git(root, "rev-parse", "HEAD").stdout.strip()
    if not commit or git(root, "cat-file", "-e", "HEAD:./dvc.yaml").returncode:
        return None
    return commit + ("+" if git(root, "status", "--porcelain", "--untracked-files=no").stdout.strip() else "")


def _add_encoder(model: Path, *, models_folder: Path | None) -> None:
    """Copy the base model next to the weights, so that the version loads from its artifacts alone."""
    from pipelines.models.base_model import CONFIG, TOKENIZER, find_base_model
    from pipelines.models.manifest import ENCODER_FOLDER, Manifest

    base = find_base_model(Manifest.read(model).encoder, models_folder=models_folder)
    (model / ENCODER_FOLDER).mkdir()
    for file in sorted({base / CONFIG, base / TOKENIZER, *base.glob("*.safetensors*")}):
        shutil.copyfile(file, model / ENCODER_FOLDER / file.name)


def _write_rows(target: Path, store: Store, *, decision: dict[str, Any]) -> None:
    """Write the anchor set (fixed test set), the ids this model has seen, and the best answers on the anchor set."""
    import pandas as pd

    split = store.read_records("split")
    champion = read_champion(store)
    if champion is not None:
        shutil.copyfile(champion.folder / "anchor.parquet", target / "anchor.parquet")
    else:
        split[split["part"] == "anchor"].drop(columns="part").to_parquet(target / "anchor.parquet", index=False)
    seen = split.loc[split["part"].isin(["train", "validation"]), ["id"]].sort_values("id")
    seen.to_parquet(target / "trained_ids.parquet", index=False)

    rows = store.read_records("evaluate", name="predictions")
    answers = rows.loc[(rows["part"] == "anchor") & (rows["candidate"] == decision["candidate"]), ["id", "label"]]
    anchor = pd.read_parquet(target / "anchor.parquet", columns=["id", "gold"])
    best: dict[str, Any] = {"version": None, "macro_f1": _macro_f1(anchor.merge(answers, on="id"))}
    if champion is not None and (champion.anchor_best["macro_f1"] or 0.0) >= (best["macro_f1"] or 0.0):
        best, answers = champion.anchor_best, champion.anchor_best_predictions()
    answers.sort_values("id").to_parquet(target / "anchor_best.parquet", index=False)
    (target / "anchor_best.json").write_bytes(to_json(best))


def _macro_f1(answers: pd.DataFrame) -> float | None:
    """Return the macro-F1 of `label` against `gold`, or None without rows."""
    import numpy as np

    from pipelines.stats.comparison import class_sums, macro_f1

    if answers.empty:
        return None
    labels = sorted({*answers["gold"], *answers["label"]})
    gold, predicted = (np.array([labels.index(item) for item in answers[name]]) for name in ("gold", "label"))
    return float(macro_f1(class_sums(gold, predicted, n_labels=len(labels)).sum(axis=0)))


def _copy_evidence(target: Path, project: Project) -> None:
    """Copy parameters, lock, metrics, verdicts, overrides, decision and pages as they are at the release."""
    root, data = project.root, project.store.folder
    target.mkdir()
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "data/champion.json"):
        if (root / name).exists():
            shutil.copyfile(root / name, target / Path(name).name)
    shutil.copyfile(project.domain_folder / "params.yaml", target / "domain_params.yaml")
    for folder in sorted(data.iterdir()):
        for name in EVIDENCE:
            if folder.name != "champion" and (folder / name).is_file():
                shutil.copyfile(folder / name, target / f"{folder.name}.{name}")
    for page in PAGES:
        html, _ = render_page(project.store, page)
        (target / f"{page}.html").write_text(html, encoding="utf-8")
    for verdict in sorted(data.glob("*/verdict.json")):
        digest = str(json.loads(verdict.read_text(encoding="utf-8")).get("digest"))
        record = override_file(project.store, verdict.parent.name, digest)
        if record.exists():  # of exactly this verdict: an override of another run is not evidence for this one
            shutil.copyfile(record, target / f"override.{record.name}")


def file_digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below a folder by its relative name, as a package's manifest lists them."""
    return {
        file.relative_to(folder).as_posix(): file_digest(file) for file in sorted(folder.rglob("*")) if file.is_file()
    }


def read_manifest(package: Path) -> dict[str, Any]:
    """Return the manifest of a package that was checked before."""
    return dict(json.loads((package / "manifest.json").read_text(encoding="utf-8")))
