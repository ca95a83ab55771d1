"""Where training stands, on disk: enough to go on as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

import pipelines.models
from pipelines.runtime.state import home, write_atomic

logger = logging.getLogger(__name__)
Tensors = dict[str, torch.Tensor]


@dataclass
class Standing:
    """Everything about a training run that changes from step to step, but for the weights."""

    step: int = 0
    best_step: int = 0
    best_score: float | None = None
    looks_without_better: int = 0
    loss_sum: float = 0.0
    curve: list[dict[str, float | int | None]] = field(default_factory=list)


def folder_for(key: dict[str, Any]) -> Path:
    """The checkpoint folder of a run with these inputs, parameters and code: another run never finds it."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
    return home() / "checkpoints" / digest[:24]


def code_digest() -> str:
    """Return the sha256 of the code that training runs: another version of it never resumes from a checkpoint."""
    here, models = Path(__file__).parent, Path(pipelines.models.__path__[0])
    files = [*sorted(here.glob("*.py")), models / "encoder.py", models / "adapter.py"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def save(folder: Path, *, standing: Standing, tensors: Tensors) -> None:
    """Write one file, whole or not at all; weights, optimizer and standing are from the same step."""
    from safetensors.torch import save as to_bytes

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(folder / "state.safetensors", to_bytes(plain, metadata={"standing": json.dumps(asdict(standing))}))


def load(folder: Path) -> tuple[Standing, Tensors] | None:
    """What `save` wrote last, or nothing; a file that cannot be read is said and left aside."""
    from safetensors import SafetensorError, safe_open

    file = folder / "state.safetensors"
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            standing = Standing(**json.loads(opened.metadata()["standing"]))
            return standing, {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        logger.warning("%s is not readable (%s): training starts over", file, error)
        return None


def drop(folder: Path) -> None:
    """Remove the checkpoint of a finished run."""
    shutil.rmtree(folder, ignore_errors=True)
