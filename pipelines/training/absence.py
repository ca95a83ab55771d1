"""A candidate that a run does not have, and why: its model folder holds the reason in place of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "absent.json"
NO_TEXT = "no training row has a text, so there is nothing to fine-tune a text encoder on"


def has_text(records: pd.DataFrame) -> bool:
    """Return whether any record has a text that is more than spaces."""
    return bool(records["text"].fillna("").astype(str).str.strip().ne("").any())


def write_absence(folder: Path, reason: str) -> None:
    """Write the reason into the candidate's model folder."""
    (folder / ABSENT).write_text(json.dumps({"reason": reason}, ensure_ascii=False) + "\n", encoding="utf-8")


def absence_of(folder: Path) -> str | None:
    """Return why a model folder holds no model, or None where it holds one; InputError when the file is damaged."""
    file = folder / ABSENT
    if not file.is_file():
        return None
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["reason"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} gives no reason ({error!r}); run `dvc repro -f -s {folder.parent.name}`") from None
