"""A faster form of a model's base network: exported to OpenVINO, used only where its parity gate has passed.

`PERENNIAL_HOME/exports/<digest of the model>/` holds `encoder.xml`, `encoder.bin` and `verdict.json`, which names the
sha256 of both, so that neither a changed export nor one of another model is ever used.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.predictor import MANIFEST, Predictor
from pipelines.core.state import home, locked, write_atomic
from pipelines.core.store import file_digest

if TYPE_CHECKING:
    import torch

    from pipelines.core.verdict import Verdict

logger = logging.getLogger(__name__)

NETWORK, WEIGHTS, VERDICT = "encoder.xml", "encoder.bin", "verdict.json"
Encode = Callable[["torch.Tensor"], "torch.Tensor"]


def export_folder(model: Path) -> Path:
    """Where the export of a model folder lies; predictor.json names the digests of all else."""
    return home() / "exports" / file_digest(model / MANIFEST)


def write_export(model: Path, *, judge: Callable[[Encode], Verdict]) -> dict[str, Any]:
    """Export the network of a model folder, let `judge` compare it, and keep it with its verdict, passed or not."""
    target = export_folder(model)
    with locked(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".export-"))
        try:
            convert(Predictor.load(model, precision="float32"), staging)
            record = with_verdict(staging, judge(compiled(staging, threads=os.cpu_count() or 1)))
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return record


def convert(predictor: Predictor, folder: Path) -> None:
    """Write the network with its pooling, token ids in and one vector a text out, any batch and length."""
    import openvino
    import torch

    class Network(torch.nn.Module):
        """Traced by the converter."""

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            """One vector a text."""
            return predictor.encode(input_ids)

    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = openvino.convert_model(Network().eval(), example_input=torch.ones(2, 16, dtype=torch.long))
    network.reshape({0: [-1, -1]})
    openvino.save_model(network, folder / NETWORK, compress_to_fp16=False)


def with_verdict(folder: Path, verdict: Verdict) -> dict[str, Any]:
    """Write what the gate found beside the files that it was found on."""
    record = {
        "passed": verdict.passed,
        "files": {name: file_digest(folder / name) for name in (NETWORK, WEIGHTS)},
        "verdict": verdict.to_dict(),
    }
    write_atomic(folder / VERDICT, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    return record


def passed_export(model: Path, *, threads: int) -> Encode | None:
    """The exported network of a model, or None where there is none that has passed its gate unchanged since."""
    folder = export_folder(model)
    try:
        record = json.loads((folder / VERDICT).read_text(encoding="utf-8"))
        changed = [name for name in (NETWORK, WEIGHTS) if record["files"][name] != file_digest(folder / name)]
        passed = record["passed"] is True
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is broken (%r): the export is not used", folder / VERDICT, error)
        return None
    if changed or not passed:
        why = f"{changed[0]} was changed" if changed else "its parity gate is closed"
        logger.warning("the export in %s is not used: %s", folder, why)
        return None
    return compiled(folder, threads=threads)


def compiled(folder: Path, *, threads: int) -> Encode:
    """The exported network in memory, in bfloat16 where the processor multiplies it."""
    import numpy as np
    import openvino
    import torch

    core = openvino.Core()
    knows_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if knows_bf16 else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(folder / NETWORK, "CPU", settings).create_infer_request()

    def encode(ids: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.array(request.infer({0: ids.numpy()})[0]))

    return encode
