"""Knobs for real texts: those of params.yaml are made for a demo in minutes on the simulated stream."""

from pathlib import Path
from typing import Any

from pipelines.core.params import load_params, read_yaml

ROOT = Path(__file__).resolve().parent.parent


def knobs(name: str, model: Any) -> Any:
    """Section `name` (one with a base model) of params.yaml as examples/cfpb_complaints.yaml lays over it."""
    changes = read_yaml(ROOT / "examples" / "cfpb_complaints.yaml").get(name, {})
    params = load_params(name, model)
    inner = params.base_model.model_copy(update=changes.pop("base_model", {}))
    return params.model_copy(update={**changes, "base_model": inner})
