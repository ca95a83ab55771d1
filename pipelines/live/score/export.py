"""A faster form of a model's networks: exported to OpenVINO, and used only when its parity gate has passed.

`exports/<digest of the model>/` in the state root holds `encoder.xml`, `encoder.bin` and `verdict.json`; of a blend,
`baseline.xml`, `finetune.xml` and their `.bin`. The verdict names the sha256 of these files and the runtime that they
were compared with. An export that was changed, belongs to
another model, or would run on another OpenVINO version or number format is therefore never used.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.gates.verdict import read_verdict
from pipelines.models.encoder import Tokens, Vectors
from pipelines.models.manifest import MANIFEST
from pipelines.models.predictor import Predictor
from pipelines.runtime.errors import InputError
from pipelines.runtime.state import locked, write_atomic
from pipelines.runtime.store import file_digest

if TYPE_CHECKING:
    import numpy as np
    import openvino
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from pipelines.gates.verdict import Verdict
    from pipelines.runtime.project import Project

logger = logging.getLogger(__name__)

NETWORK, WEIGHTS, VERDICT = ".xml", ".bin", "verdict.json"  # of each network <name>.xml and <name>.bin
Networks = Mapping[str, Vectors]


@dataclass(frozen=True)
class PassedExport:
    """An export with an open gate: the function that computes each network's vectors, and the digest of its verdict."""

    vectors: Networks
    verdict: str


def export_version(project: Project, *, version: int, package: Path, int8: bool) -> dict[str, Any]:
    """Export a version's networks and compare it with the float32 model; scoring uses it when the gate is open."""
    import pandas as pd

    from pipelines.live.score import parity
    from pipelines.live.score.params import ScoreParams
    from pipelines.records.domain import Domain

    params, schema = project.section("score", ScoreParams).parity, Domain(project.domain_folder).schema
    records = parity.gold_rows(package, store=project.store, rows=params.rows)

    def compare(vectors: Networks) -> Verdict:
        exact = Predictor.load(package / "model", precision="float32")
        before = exact.predict_proba(records, progress="float32")
        exact.replace_encoders(vectors)
        after = exact.predict_proba(records, progress="export")
        return parity.parity_verdict(records, exact=before, exported=after, schema=schema, params=params)

    sample = pd.read_parquet(package / parity.ANCHOR) if int8 else None  # every version has its fixed test set
    record = write_export(package / "model", exports=project.state / "exports", compare=compare, sample=sample)
    return {"model_version": version, "int8": int8, "passed": record["passed"], "checks": record["verdict"]["checks"]}


def export_folder(model: Path, *, exports: Path) -> Path:
    """Return the folder of a model's export; predictor.json names the digests of everything else in the model."""
    return exports / file_digest(model / MANIFEST)


def write_export(
    model: Path, *, exports: Path, compare: Callable[[Networks], Verdict], sample: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Export the networks of a model folder, `compare` them, and keep it with its verdict, whether it passed or not.

    With a `sample` of records the export is int8, with scales that fit the sample.
    """
    target = export_folder(model, exports=exports)
    with locked(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".export-"))
        try:
            convert(Predictor.load(model, precision="float32"), staging, sample=sample)
            record = with_verdict(staging, compare(compiled(staging, threads=os.cpu_count() or 1, streams=1)))
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return record


def convert(predictor: Predictor, folder: Path, *, sample: pd.DataFrame | None = None) -> None:
    """Write each network with its pooling: token ids and mask in, one vector per text out, any batch size and length.

    With a `sample` of records the networks are int8, and the predictor cannot be used afterwards.
    """
    import openvino

    from pipelines.live.score.quantize import quantize

    tokens = {} if sample is None else tokens_of(predictor, sample)
    for name in predictor.networks:
        network = traced(predictor, name)
        if sample is not None and not quantize(network, tokens=tokens[name]):
            raise InputError(f"{predictor.folder}: its network has no matrix that can be stored as int8")
        openvino.save_model(network, folder / f"{name}{NETWORK}", compress_to_fp16=False)


def traced(predictor: Predictor, name: str) -> openvino.Model:
    """Return one of the predictor's networks as OpenVINO reads it, for any batch size and length."""
    import openvino
    import torch

    class Network(torch.nn.Module):
        """Traced by the converter."""

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            """Return one vector per text."""
            return predictor.encode(ids, mask, network=name)

    example = torch.ones(2, 16, dtype=torch.long)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = openvino.convert_model(Network().eval(), example_input=(example, example))
    network.reshape({0: [-1, -1], 1: [-1, -1]})
    return network


def tokens_of(predictor: Predictor, records: pd.DataFrame) -> dict[str, Tokens]:
    """Return the token ids that the predictor gives to each of its networks for these records."""
    import numpy as np
    import torch

    found: dict[str, Tokens] = {name: [] for name in predictor.networks}

    def recorder(name: str) -> Vectors:
        with torch.inference_mode():
            width = predictor.encode(torch.ones(1, 2, dtype=torch.long), network=name).shape[1]

        def record(tokens: Tokens) -> NDArray[np.float32]:
            found[name].extend(tokens)
            return np.zeros((len(tokens), width), dtype=np.float32)

        return record

    predictor.replace_encoders({name: recorder(name) for name in found})
    predictor.predict_logits(records)
    return found


def runtime() -> dict[str, str]:
    """Return what runs an export on this machine; another version or number format gives other numbers."""
    import openvino

    from pipelines.live.score.exported import native_precision

    return {"openvino": str(openvino.get_version()), "precision": native_precision()}


def with_verdict(folder: Path, verdict: Verdict) -> dict[str, Any]:
    """Write the gate's verdict next to the files that it is about, with their digests."""
    record = {
        "passed": verdict.passed,
        "files": {name: file_digest(folder / name) for name in _files(folder)},
        "runtime": runtime(),
        "verdict": verdict.to_dict(),
    }
    write_atomic(folder / VERDICT, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    return record


def passed_export(model: Path, *, exports: Path, threads: int, streams: int) -> PassedExport | None:
    """Return the exported networks of a model, or None where none exists that passed its gate and is unchanged."""
    try:
        folder = export_folder(model, exports=exports)
        record = json.loads((folder / VERDICT).read_text(encoding="utf-8"))
        verdict = read_verdict(record["verdict"], stage="export")
        reason = _why_unusable(folder, record, passed=record["passed"] is True and verdict.passed)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is broken (%r): the export is not used", folder / VERDICT, error)
        return None
    if reason is not None:
        logger.warning("the export in %s is not used: %s", folder, reason)
        return None
    digest = verdict.to_dict()["digest"]
    try:
        vectors = compiled(folder, threads=threads, streams=streams)
    except RuntimeError as error:  # OpenVINO raises it for every failure
        logger.warning("the export in %s is not used: OpenVINO cannot load it: %s", folder, error)
        return None
    logger.info("using the exported network, verdict %s", digest[:12])
    return PassedExport(vectors, digest)


def _why_unusable(folder: Path, record: dict[str, Any], *, passed: bool) -> str | None:
    if not (names := _files(folder)) or set(record["files"]) != set(names):
        return (
            f"it has the files {', '.join(names) or 'none'}, its verdict is about {', '.join(sorted(record['files']))}"
        )
    changed = [name for name in names if record["files"][name] != file_digest(folder / name)]
    if changed:
        return f"{changed[0]} was changed"
    if not passed:
        return "its parity gate is closed"
    if record["runtime"] != (here := runtime()):
        return f"it was compared with {record['runtime']}, this machine has {here}; export it again (make score-export)"
    return None


def compiled(folder: Path, *, threads: int, streams: int) -> Networks:
    """Load each exported network, in bfloat16 where the processor has it."""
    from pipelines.live.score.exported import Exported, native_precision

    precision = native_precision()
    return {
        file.stem: Exported(file, precision=precision, threads=threads, streams=streams)
        for file in sorted(folder.glob(f"*{NETWORK}"))
    }


def _files(folder: Path) -> list[str]:
    """Return the names of an export's files, both of each network."""
    return [f"{file.stem}{end}" for file in sorted(folder.glob(f"*{NETWORK}")) for end in (NETWORK, WEIGHTS)]
