"""Checkpoints of a training: enough on disk to resume it with the same result as without the interruption."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

import pipelines.models
from pipelines.runtime.state import write_atomic

logger = logging.getLogger(__name__)
Tensors = dict[str, torch.Tensor]


@dataclass
class TrainingState:
    """Everything about a training run that changes from step to step, except weights and optimizer."""

    step: int = 0
    best_step: int = 0
    best_score: float | None = None
    evaluations_without_improvement: int = 0
    loss_sum: float = 0.0
    curve: list[dict[str, float | int | None]] = field(default_factory=list)


def folder_for(key: dict[str, Any], *, root: Path) -> Path:
    """Return the checkpoint folder below `root` of a run with these inputs, parameters and code, and no other run."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
    return root / digest[:24]


def code_digest() -> str:
    """Return the sha256 of the code that training runs: other code never resumes from a checkpoint."""
    here, models = Path(__file__).parent, Path(pipelines.models.__path__[0])
    files = [*sorted(here.glob("*.py")), models / "encoder.py", models / "adapter.py"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def file_of(folder: Path) -> Path:
    """Return the file that a run's checkpoint is in."""
    return folder / "state.safetensors"


def save(folder: Path, *, state: TrainingState, tensors: Tensors) -> None:
    """Write one file atomically; weights, optimizer and state are from the same step."""
    from safetensors.torch import save as to_bytes

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(file_of(folder), to_bytes(plain, metadata={"state": json.dumps(asdict(state))}))


def load(folder: Path) -> tuple[TrainingState, Tensors] | None:
    """Return what `save` wrote last, or None without a readable file; an unreadable one is logged and ignored."""
    from safetensors import SafetensorError, safe_open

    file = file_of(folder)
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            state = TrainingState(**json.loads(opened.metadata()["state"]))
            return state, {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        logger.warning("%s is not readable (%s): training starts over", file, error)
        return None
