"""Parameters for real texts: those of params.yaml are made for a demo in minutes on the simulated stream."""

import os
from pathlib import Path
from typing import Any

from pipelines.runtime.params import load_params, read_yaml

ROOT = Path(__file__).resolve().parent.parent
MODELS = Path(os.environ["PERENNIAL_MODELS"]) if os.environ.get("PERENNIAL_MODELS") else None


def parameters(name: str, model: Any) -> Any:
    """Section `name` (one with a base model) of params.yaml as examples/cfpb_complaints.yaml lays over it."""
    changes = read_yaml(ROOT / "examples" / "cfpb_complaints.yaml").get(name, {})
    ours = load_params(name, model).model_dump()
    inner = {**ours["base_model"], **changes.get("base_model", {})}
    return model.model_validate({**ours, **changes, "base_model": inner})  # null wins here, as with `make run`
