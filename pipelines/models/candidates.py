"""The candidates of a run, the one with the lowest cost first, and where their model folders are."""

from __future__ import annotations

from pathlib import Path

from pipelines.runtime.errors import InputError
from pipelines.runtime.store import Store

BASELINE, FINETUNE, BLEND = "baseline", "finetune", "blend"
CANDIDATES = (BASELINE, FINETUNE, BLEND)
NAMES = {BASELINE: "baseline", FINETUNE: "fine-tuned model", BLEND: "blend"}
FOLDERS = {BASELINE: ("baseline", "model"), FINETUNE: ("finetune", "model"), BLEND: ("evaluate", "blend")}


def model_folder(store: Store, candidate: str) -> Path:
    """Return the model folder of a candidate; InputError for an unknown one."""
    if candidate not in FOLDERS:
        raise InputError(f"unknown candidate {candidate!r}: expected {', '.join(CANDIDATES)}")
    stage, name = FOLDERS[candidate]
    return store.folder / stage / name
