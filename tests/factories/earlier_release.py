"""A version as releases before the subject folders wrote it: code in `pipelines.core`, the same files and keys."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from pipelines.live.release.package import file_digests
from pipelines.live.release.registry import CHAMPION, Registry
from pipelines.runtime.state import append_line
from pipelines.runtime.store import file_digest, folder_digest
from tests.factories.tiny_release import write_tiny_model

# Spelled out, not generated: a released model must stay readable, whatever the code calls these things today.
PREDICTOR_KEYS = {"encoder", "features", "files", "kind", "labels", "schema_version", "settings", "temperature"}
ENCODER_KEYS = {
    "config_sha256",
    "layers",
    "max_characters",
    "max_tokens",
    "name",
    "pooling",
    "precision",
    "revision",
    "sha256",
    "tokenizer_sha256",
}
OVERRIDE = {
    "stage": "bias_gate",
    "verdict": "0" * 64,
    "checks": ["coverage_older_american"],
    "who": "ada",
    "when": "2026-01-02T00:00:00+00:00",
    "why": "known, repaired in May",
}


def register_earlier(registry: Registry, scratch: Path, *, domain: str, labels: tuple[str, ...]) -> int:
    """Register the version, make it champion, and write the line of history that its release wrote."""
    folder = scratch / "earlier"
    package = folder / "artifacts" / "package"
    write_tiny_model(package / "model", models=scratch / "models", labels=labels, seed=5)
    content = json.loads((package / "model" / "predictor.json").read_text())
    assert set(content) == PREDICTOR_KEYS
    assert set(content["encoder"]) == ENCODER_KEYS
    content["files"] = {name: sha for name, sha in content["files"].items() if not name.startswith("encoder/")}
    (package / "model" / "predictor.json").write_text(json.dumps(content))  # the encoder was added after training
    digest = folder_digest(package / "model")
    _write_rows(package, labels=labels)
    for name, file in {
        "profile/profile.json": {},
        "evidence/champion.json": {"version": None},
        "evidence/override.bias_gate-000000000000.json": OVERRIDE,
        "anchor_best.json": {"macro_f1": 0.5, "version": None},
    }.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(json.dumps(file))
    manifest = {
        "candidate": "baseline",
        "decisions_used": 1,
        "domain": domain,
        "dvc_lock": "1" * 64,
        "files": file_digests(package),
        "git_commit": "2" * 40,
        "labels": list(labels),
        "model_digest": digest,
    }
    (package / "manifest.json").write_text(json.dumps(manifest))
    (folder / "code" / "pipelines" / "core").mkdir(parents=True)
    (folder / "code" / "pipelines" / "__init__.py").write_text("")
    (folder / "code" / "pipelines" / "core" / "predictor.py").write_text("class Predictor: ...\n")
    (folder / "pyfunc_model.py").write_text("from pipelines.core.predictor import Predictor\n")
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    code: code\n")
    tags = {"candidate": "baseline", "git_commit": "2" * 40, "dvc_lock": "1" * 64, "domain": domain}
    version = registry.register(folder, candidate_digest=digest, tags={**tags, "preflight": "{}", "feedback": "{}"})
    line = {
        "model": registry.model_name,
        "action": "release",
        "from": None,
        "to": version,
        "who": "root",
        "when": "2026-01-03T00:00:00+00:00",
        "why": "Released: the cheap model is the first champion.",
        "evidence": {
            "manifest": file_digest(package / "manifest.json"),
            "git_commit": "2" * 40,
            "dvc_lock": "1" * 64,
            "model_digest": digest,
        },
    }
    append_line(registry.state / "history.jsonl", line, chained=True)
    made = {"candidate": digest, "champion": None, "model": registry.model_name}
    append_line(registry.state / "decisions_made.jsonl", made)
    registry.move_alias(CHAMPION, version)
    return version


def _write_rows(package: Path, *, labels: tuple[str, ...]) -> None:
    anchor = pd.DataFrame({"id": ["a", "b"], "text": ["my card", "a debt"], "gold": list(labels[:2])})
    anchor.to_parquet(package / "anchor.parquet", index=False)
    anchor[["id"]].assign(label=labels[0]).to_parquet(package / "anchor_best.parquet", index=False)
    pd.DataFrame({"id": ["t1", "t2"]}).to_parquet(package / "trained_ids.parquet", index=False)
