"""Parameters for real texts: those of params.yaml are made for a demo in minutes on the simulated stream."""

import os
from pathlib import Path
from typing import Any

from pipelines.runtime.params import Parameters, read_yaml

ROOT = Path(__file__).resolve().parent.parent
MODELS = Path(os.environ["PERENNIAL_MODELS"]) if os.environ.get("PERENNIAL_MODELS") else None


def parameters(name: str, model: Any) -> Any:
    """Return section `name` (one with a base model) with the overrides of examples/cfpb_complaints.yaml."""
    changes = read_yaml(ROOT / "examples" / "cfpb_complaints.yaml")
    values = Parameters.read(ROOT).load(name, model).model_dump()
    base = {**values["base_model"], **changes.get("base_model", {})}
    return model.model_validate(
        {**values, **changes.get(name, {}), "base_model": base}
    )  # null overrides, as in `make run`
