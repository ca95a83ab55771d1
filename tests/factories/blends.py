"""Two small models of one domain, a baseline and a fine-tuned one, on the same tiny base model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from pipelines.models.adapter import HEAD_FILE, add_adapter, save_adapter
from pipelines.models.encoder import load_network
from pipelines.models.manifest import SCHEMA_VERSION, Manifest
from tests.factories.tiny_release import write_tiny_model


def write_tiny_pair(root: Path, *, models: Path, labels: tuple[str, ...], seed: int = 1) -> dict[str, Path]:
    """Write `root/baseline` and `root/finetune` with random weights; returns their folders by name."""
    from peft import LoraConfig

    folders = {name: root / name / "model" for name in ("baseline", "finetune")}
    write_tiny_model(folders["baseline"], models=models, labels=labels, seed=seed)
    encoder = folders["baseline"] / "encoder"
    spec = Manifest.read(folders["baseline"]).encoder
    if not (models / spec.name).exists():
        encoder.rename(models / spec.name)
    else:
        for file in encoder.iterdir():
            file.unlink()
        encoder.rmdir()
    torch.manual_seed(seed)
    config = LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", init_lora_weights=False)
    network = add_adapter(load_network(models / spec.name, layers=spec.layers), config=config)
    folders["finetune"].mkdir(parents=True)
    save_adapter(network, folders["finetune"], base_model=spec.name, revision=spec.revision)
    width = load_network(models / spec.name, layers=1).config.hidden_size
    draw = np.random.default_rng(seed)
    head = {"weight": torch.tensor(draw.normal(size=(len(labels), width)), dtype=torch.float32)}
    head["bias"] = torch.zeros(len(labels))
    (folders["finetune"] / HEAD_FILE).write_bytes(save(head))
    for name, temperature in {"baseline": 0.4, "finetune": 1.7}.items():
        Manifest(
            schema_version=SCHEMA_VERSION,
            kind=name,
            labels=labels,
            features=(),
            encoder=spec,
            temperature=temperature,
            settings={},
            files={},
        ).write(folders[name])
    return folders
