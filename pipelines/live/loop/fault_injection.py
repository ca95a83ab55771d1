"""Fault injection: a version registered past the gates, loadable and with correct digests, but nearly always wrong."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.models.manifest import BOOSTING_FILE, Manifest
from pipelines.models.scorers import MEMBERS
from pipelines.runtime.store import file_digest, folder_digest, to_json

if TYPE_CHECKING:
    from pipelines.live.release.registry import Registry
    from pipelines.records.schema import DomainSchema
    from pipelines.runtime.project import Project

# By kind of model: the file of its last layer, and its tensors with the axis of the labels.
LAST_LAYER = {
    "baseline": ("linear.safetensors", {"word_weights": 1, "vector_weights": 1, "intercept": 0}),
    "finetune": ("head.safetensors", {"weight": 0, "bias": 0}),
}


def shift_labels(model: Path) -> None:
    """Make the model in a folder answer the next label instead of its own, and write the matching digests."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    manifest = Manifest.read(model)
    if manifest.kind == "blend":
        for member in MEMBERS:
            shift_labels(model / member)
        manifest.write(model)
        return
    name, axes = LAST_LAYER[manifest.kind]
    arrays = load_file(model / name)
    for tensor, axis in axes.items():
        arrays[tensor] = np.ascontiguousarray(np.roll(arrays[tensor], 1, axis=axis))
    save_file(arrays, model / name)
    if (model / BOOSTING_FILE).exists():
        (model / BOOSTING_FILE).write_text("", encoding="utf-8")  # its trees would correct the linear part
    manifest.write(model)


def register_faulty_version(registry: "Registry", *, of: int, project: "Project", schema: "DomainSchema") -> int:
    """Register a faulty copy of version `of`, as an operator who bypasses the gates could; return its number."""
    from pipelines.live.release.preflight import save_model

    staging = project.state / "staging" / "by-hand"
    shutil.rmtree(staging, ignore_errors=True)
    package = staging / "package"
    shutil.copytree(registry.package(of), package)
    shift_labels(package / "model")
    manifest = json.loads((package / "manifest.json").read_text(encoding="utf-8"))
    manifest["model_digest"] = folder_digest(package / "model")
    manifest["files"] = {
        file.relative_to(package).as_posix(): file_digest(file)
        for file in sorted(package.rglob("*"))
        if file.is_file() and file.name != "manifest.json"
    }
    (package / "manifest.json").write_bytes(to_json(manifest))
    features = {feature.name: feature.kind for feature in schema.features}
    try:
        save_model(package, staging / "model", root=project.root, features=features)
        tags = {"candidate": str(manifest["candidate"]), "domain": schema.name, "origin": "by hand, past the gates"}
        return registry.register(staging / "model", candidate_digest=manifest["model_digest"], tags=tags)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
