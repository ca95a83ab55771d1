"""Real versions in a real registry: a tiny base model and random weights, seconds instead of a training run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.live.release import moves
from pipelines.live.release.package import file_digests
from pipelines.live.release.registry import CHALLENGER, CHAMPION, Registry
from pipelines.models.base_model import BaseModelParams
from pipelines.models.linear import LinearModel, Vocabulary
from pipelines.models.manifest import BOOSTING_FILE, SCHEMA_VERSION, Manifest
from pipelines.runtime.store import to_json
from tests.factories.tiny_base_model import WIDTH, write_tiny_base_model

WORDS = [
    "my card was charged twice",
    "a debt that is not mine",
    "the bank and the loan for a student",
    "a report of fees",
]


def write_tiny_model(folder: Path, *, models: Path, labels: tuple[str, ...], seed: int) -> None:
    """A baseline of random weights; models of different seeds answer differently."""
    random = np.random.default_rng(seed)
    vocabulary = Vocabulary.fit(WORDS, ngrams=1, min_records=1, max_terms=50, max_characters=1000)
    n_terms, n_labels = len(vocabulary.terms), len(labels)
    folder.mkdir(parents=True)
    words, vectors = random.normal(size=(n_terms, n_labels)), random.normal(size=(WIDTH, n_labels))
    LinearModel(vocabulary, words, vectors, np.zeros(n_labels)).save(folder)
    (folder / BOOSTING_FILE).write_text("", encoding="utf-8")
    base = BaseModelParams(**write_tiny_base_model(models), max_characters=2000, pooling="mean")
    shutil.copytree(models / base.name, folder / "encoder")
    Manifest(
        schema_version=SCHEMA_VERSION,
        kind="baseline",
        labels=labels,
        features=(),
        encoder=base,
        temperature=0.2,  # sure of itself, so that a wrong answer costs much
        settings={},
        files={},
    ).write(folder)


def register_tiny(registry: Registry, scratch: Path, *, labels: tuple[str, ...], seed: int, **more: Any) -> int:
    """Register a tiny model as a version; `more` are further files of its package, name -> content."""
    folder = scratch / f"version-{seed}"
    package = folder / "artifacts" / "package"
    write_tiny_model(package / "model", models=scratch / "models", labels=labels, seed=seed)
    (folder / "MLmodel").write_text("flavors: {}\n")
    for name, content in more.items():
        (package / name).write_bytes(content)
    manifest = {"git_commit": None, "dvc_lock": None, "model_digest": str(seed), "files": file_digests(package)}
    (package / "manifest.json").write_bytes(to_json(manifest))
    return registry.register(folder, candidate_digest=f"digest-{seed}", tags={})


def release(registry: Registry, version: int) -> None:
    """Make a version champion, as `apply` does after its pre-flight."""
    moves.move_champion(
        registry, old=registry.alias(CHAMPION), new=version, action="release", reason="it is the newest"
    )


def challenge(registry: Registry, version: int) -> None:
    """Make a version challenger, as `apply` does where a canary decides."""
    registry.move_alias(CHALLENGER, version)
