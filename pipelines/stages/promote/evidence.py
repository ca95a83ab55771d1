"""Evaluate's evidence as one piece: verdict, figures and answers of the same run, and none edited since."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.runtime.errors import InputError

CANDIDATES = ("baseline", "finetune")
MEND = "run `dvc repro -f -s evaluate`"


@dataclass(frozen=True)
class Evidence:
    """Who was chosen, and the digest of the model that was measured."""

    candidate: str
    model_digest: str


def evidence_of(folder: Path) -> Evidence:
    """Read `folder`; InputError where a key is missing, or where a file is not the one that its digest was taken of.

    The verdict holds the digest of the figures, the figures that of the answers and of each model, and the verdict's
    own digest is checked with the gate: so a figure, an answer or a verdict of another run does not fit.
    """
    try:
        verdict, metrics = (json.loads((folder / name).read_bytes()) for name in ("verdict.json", "metrics.json"))
        figures = metrics["details"][0]
        written: dict[str, Any] = {check["name"]: check for check in verdict["checks"]}
        stated = {
            "metrics.json": str(written["answers_written"]["details"]["metrics"]),
            "predictions.parquet": str(figures["predictions"]),
        }
        candidate = str(figures["choice"]["candidate"])
        found = Evidence(candidate, str(figures["models"][candidate]))
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing; {MEND}") from None
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{folder}: verdict.json or metrics.json is not complete ({error!r}); {MEND}") from None
    if candidate not in CANDIDATES:
        raise InputError(
            f"{folder / 'metrics.json'}: choice.candidate = {candidate!r}; {' or '.join(CANDIDATES)}; {MEND}"
        )
    for name, expected in stated.items():
        file = folder / name
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
        if digest != expected:
            raise InputError(
                f"{file}: sha256 is {digest[:12]}, the evidence was written with {expected[:12]}: "
                f"edited, or of another run; {MEND}"
            )
    return found
