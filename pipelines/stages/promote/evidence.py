"""The evidence of evaluate: verdict, metrics and predictions of one run, unchanged since it was written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.models.candidates import CANDIDATES
from pipelines.runtime.errors import InputError

REPAIR = "run `dvc repro -f -s evaluate`"


@dataclass(frozen=True)
class EvaluatedCandidate:
    """The chosen candidate, and the digest of its model when it was measured."""

    candidate: str
    model_digest: str


def read_evaluated(folder: Path) -> EvaluatedCandidate:
    """Read `folder`; InputError when a key is missing, or a file does not match its digest.

    The verdict holds the digest of the metrics, the metrics those of the predictions and of each model, and the gate
    checks the verdict's own digest. So metrics, predictions or a verdict of another run are found.
    """
    try:
        verdict, metrics = (json.loads((folder / name).read_bytes()) for name in ("verdict.json", "metrics.json"))
        details = metrics["details"][0]
        written: dict[str, Any] = {check["name"]: check for check in verdict["checks"]}
        stated = {
            "metrics.json": str(written["answers_written"]["details"]["metrics"]),
            "predictions.parquet": str(details["predictions"]),
        }
        candidate = str(details["choice"]["candidate"])
        found = EvaluatedCandidate(candidate, str(details["models"][candidate]))
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing; {REPAIR}") from None
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{folder}: verdict.json or metrics.json is not complete ({error!r}); {REPAIR}") from None
    if candidate not in CANDIDATES:
        raise InputError(
            f"{folder / 'metrics.json'}: invalid choice.candidate = {candidate!r}: expected {', '.join(CANDIDATES)}; {REPAIR}"
        )
    for name, expected in stated.items():
        file = folder / name
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
        if digest != expected:
            raise InputError(
                f"{file}: sha256 is {digest[:12]}, the evidence was written with {expected[:12]}: "
                f"edited, or of another run; {REPAIR}"
            )
    return found
