"""A faster form of a model's base network: exported to OpenVINO, used only where its parity gate has passed.

`PERENNIAL_HOME/exports/<digest of the model>/` holds `encoder.xml`, `encoder.bin` and `verdict.json`, which names the
sha256 of both and the runtime that they were judged with, so that no changed export, none of another model, and none
that another OpenVINO or number format would compute, is ever used.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.gates.verdict import read_verdict
from pipelines.models.encoder import Tokens, Vectors
from pipelines.models.manifest import MANIFEST
from pipelines.models.predictor import Predictor
from pipelines.runtime.errors import InputError
from pipelines.runtime.state import home, locked, write_atomic
from pipelines.runtime.store import file_digest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from pipelines.gates.verdict import Verdict

logger = logging.getLogger(__name__)

NETWORK, WEIGHTS, VERDICT = "encoder.xml", "encoder.bin", "verdict.json"


@dataclass(frozen=True)
class PassedExport:
    """An export whose gate is open: what computes, and the digest of the verdict that let it."""

    vectors: Vectors
    verdict: str


def export_folder(model: Path) -> Path:
    """Where the export of a model folder lies; predictor.json names the digests of all else."""
    return home() / "exports" / file_digest(model / MANIFEST)


def write_export(
    model: Path, *, judge: Callable[[Vectors], Verdict], sample: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Export the network of a model folder, let `judge` compare it, and keep it with its verdict, passed or not.

    With a `sample` of records, it multiplies bytes, with scales that fit them.
    """
    target = export_folder(model)
    with locked(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".export-"))
        try:
            convert(Predictor.load(model, precision="float32"), staging, sample=sample)
            record = with_verdict(staging, judge(compiled(staging, threads=os.cpu_count() or 1, streams=1)))
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return record


def convert(predictor: Predictor, folder: Path, *, sample: pd.DataFrame | None = None) -> None:
    """Write the network with its pooling: token ids and mask in, one vector a text out, any batch and length.

    With a `sample` of records, it multiplies bytes, and the predictor is of no use afterwards.
    """
    import openvino
    import torch

    from pipelines.live.score.quantize import quantize

    class Network(torch.nn.Module):
        """Traced by the converter."""

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            """One vector a text."""
            return predictor.encode(ids, mask)

    example = torch.ones(2, 16, dtype=torch.long)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = openvino.convert_model(Network().eval(), example_input=(example, example))
    network.reshape({0: [-1, -1], 1: [-1, -1]})
    if sample is not None and not quantize(network, tokens=tokens_of(predictor, sample)):
        raise InputError(f"{predictor.folder}: its network holds no matrix that could be made of bytes")
    openvino.save_model(network, folder / NETWORK, compress_to_fp16=False)


def tokens_of(predictor: Predictor, records: pd.DataFrame) -> Tokens:
    """The token ids that the predictor's network would be asked for."""
    import numpy as np
    import torch

    seen: Tokens = []
    with torch.inference_mode():
        width = predictor.encode(torch.ones(1, 2, dtype=torch.long)).shape[1]

    def look(tokens: Tokens) -> NDArray[np.float32]:
        seen.extend(tokens)
        return np.zeros((len(tokens), width), dtype=np.float32)

    predictor.replace_encoder(look)
    predictor.predict_logits(records)
    return seen


def runtime() -> dict[str, str]:
    """What computes an export here; another version or number format would give other numbers than were judged."""
    import openvino

    from pipelines.live.score.exported import native_precision

    return {"openvino": str(openvino.get_version()), "precision": native_precision()}


def with_verdict(folder: Path, verdict: Verdict) -> dict[str, Any]:
    """Write what the gate found beside the files that it was found on."""
    record = {
        "passed": verdict.passed,
        "files": {name: file_digest(folder / name) for name in (NETWORK, WEIGHTS)},
        "runtime": runtime(),
        "verdict": verdict.to_dict(),
    }
    write_atomic(folder / VERDICT, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    return record


def passed_export(model: Path, *, threads: int, streams: int) -> PassedExport | None:
    """The exported network of a model, or None where there is none that has passed its gate unchanged since."""
    try:
        folder = export_folder(model)
        record = json.loads((folder / VERDICT).read_text(encoding="utf-8"))
        changed = [name for name in (NETWORK, WEIGHTS) if record["files"][name] != file_digest(folder / name)]
        verdict = read_verdict(record["verdict"], stage="export")
        passed, judged_with = record["passed"] is True and verdict.passed, record["runtime"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is broken (%r): the export is not used", folder / VERDICT, error)
        return None
    why = None
    if changed:
        why = f"{changed[0]} was changed"
    elif not passed:
        why = "its parity gate is closed"
    elif judged_with != runtime():
        why = f"it was judged with {judged_with}, here is {runtime()}; export it again (make score-export)"
    if why is not None:
        logger.warning("the export in %s is not used: %s", folder, why)
        return None
    digest = verdict.to_dict()["digest"]
    try:
        vectors = compiled(folder, threads=threads, streams=streams)
    except RuntimeError as error:  # OpenVINO's kind for all that it cannot do
        logger.warning("the export in %s is not used: OpenVINO cannot load it: %s", folder, error)
        return None
    logger.info("the exported network answers, by verdict %s", digest[:12])
    return PassedExport(vectors, digest)


def compiled(folder: Path, *, threads: int, streams: int) -> Vectors:
    """The exported network in memory, in bfloat16 where the processor multiplies it."""
    from pipelines.live.score.exported import Exported, native_precision

    return Exported(folder / NETWORK, precision=native_precision(), threads=threads, streams=streams)
