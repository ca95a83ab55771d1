"""The one predictor of evaluation, scoring, serving and release: a model folder in, probabilities out.

A folder holds predictor.json beside safetensors, LightGBM text and JSON, never a pickle. predictor.json names the
labels, the features, the base model's digests, the temperature, and the sha256 of each file; a changed file is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.models.base_model import BaseModelParams, file_sha256, find_base_model
from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from pipelines.models.encoder import Vectors

MANIFEST = "predictor.json"
BOOSTING_FILE = "boosting.txt"
ENCODER_FOLDER = "encoder"  # a registered version carries the base model here
SCHEMA_VERSION = 1
Floats = NDArray[np.float64]


class FeatureColumn(BaseModel):
    """A column that the model reads: a number, or a category with the levels seen in training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str = Field(pattern="^(category|number)$")
    levels: tuple[str, ...] = ()


class Manifest(BaseModel):
    """predictor.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    kind: str = Field(pattern="^(baseline|finetune)$")
    labels: tuple[str, ...] = Field(min_length=2)
    features: tuple[FeatureColumn, ...]
    encoder: BaseModelParams
    temperature: float = Field(gt=0, allow_inf_nan=False)
    settings: dict[str, Any]  # what else the kind needs to compute the same numbers as in training
    files: dict[str, str]  # name -> sha256

    def write(self, folder: Path) -> None:
        """Write predictor.json with the digests of the files that stand in the folder now."""
        for file in folder.rglob("*"):
            if file.is_file():
                file.chmod(0o644)  # safetensors writes for its owner alone
        files = {
            file.relative_to(folder).as_posix(): file_sha256(file)
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name != MANIFEST
        }
        content = self.model_copy(update={"files": files}).model_dump(mode="json")
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """predictor.json with every file it names checked against its digest."""
        file = folder / MANIFEST
        if not file.is_file():
            raise InputError(f"{file} is missing: {folder} is no model folder; run `dvc repro` or `dvc checkout`")
        try:
            manifest = cls.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise InputError(f"{file} is not the description of a model: {error}") from error
        if manifest.schema_version != SCHEMA_VERSION:
            raise InputError(f"{file}: schema_version = {manifest.schema_version}; {SCHEMA_VERSION} would be right")
        for name, expected in manifest.files.items():
            found = file_sha256(folder / name) if (folder / name).is_file() else "missing"
            if found != expected:
                raise InputError(
                    f"{folder / name}: sha256 is {found}, {MANIFEST} says {expected}; changed after training"
                )
        return manifest


class Scorer(Protocol):
    """What turns records into logits."""

    def logits(self, records: pd.DataFrame, *, say: str) -> Floats:
        """One logit a label for every record."""

    def encode(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """One vector a text of one batch; `mask` is 0 where a shorter text was padded."""

    def exchange_encoder(self, vectors: Vectors) -> None:
        """Compute the vectors of texts with another form of the same network."""


class Predictor:
    """A trained model as it answers: the same numbers in evaluation, scoring and serving."""

    def __init__(self, manifest: Manifest, scorer: Scorer, *, folder: Path) -> None:
        self.manifest = manifest
        self.folder = folder
        self.kind = manifest.kind
        self.labels = manifest.labels
        self.features = tuple(column.name for column in manifest.features)
        self._scorer = scorer

    @classmethod
    def load(
        cls, folder: Path, *, encoder_folder: Path | None = None, device: str = "cpu", precision: str | None = None
    ) -> Predictor:
        """Check every digest, then load; the base model comes from `encoder_folder`, `folder/encoder`, or is found.

        `precision` other than the manifest's is for comparisons: what a model answers in float32.
        """
        folder = Path(folder)
        manifest = Manifest.read(folder)
        if precision is not None:
            spec = manifest.encoder.model_copy(update={"precision": precision})
            manifest = manifest.model_copy(update={"encoder": spec})
        if encoder_folder is None and (folder / ENCODER_FOLDER).is_dir():
            encoder_folder = folder / ENCODER_FOLDER
        base = find_base_model(manifest.encoder, folder=encoder_folder)
        if manifest.kind == "baseline":
            from pipelines.models.scorers import BaselineScorer

            scorer: Scorer = BaselineScorer(manifest, folder=folder, base=base, device=device)
        else:
            from pipelines.models.scorers import FinetuneScorer

            scorer = FinetuneScorer(manifest, folder=folder, base=base, device=device)
        return cls(manifest, scorer, folder=folder)

    def encode(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """One vector a text of one batch, by the network as it was loaded: what an export is made of."""
        return self._scorer.encode(ids, mask)

    def exchange_encoder(self, vectors: Vectors) -> None:
        """Answer with another form of the same network, which must have passed a parity gate."""
        self._scorer.exchange_encoder(vectors)

    def predict_logits(self, records: pd.DataFrame, *, say: str = "") -> Floats:
        """Logits before the temperature; InputError where the model gives NaN or infinity."""
        self._require_columns(list(records.columns))
        if not len(records):
            return np.empty((0, len(self.labels)))
        logits = self._scorer.logits(records, say=say)
        broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        if len(broken):
            row = int(broken[0])
            name = f" (id {records['id'].iloc[row]})" if "id" in records.columns else ""
            raise InputError(
                f"{self.folder}: the model gives NaN or infinity for {len(broken)} of {len(records)} records, "
                f"the first in row {row}{name}; it must not be used: train it again"
            )
        return logits

    def predict_proba(self, records: pd.DataFrame, *, say: str = "") -> Floats:
        """Probabilities in the order of `labels`; needs the columns `text` and the features; `say` shows progress."""
        from pipelines.stats.calibration import apply_temperature

        return apply_temperature(self.predict_logits(records, say=say), temperature=self.manifest.temperature)

    def predict(self, records: pd.DataFrame, *, say: str = "") -> pd.DataFrame:
        """`id`, the most probable `label`, and its probability as `confidence`."""
        import pandas as pd

        if "id" not in records.columns:
            raise InputError("records lack the column 'id'")
        probabilities = self.predict_proba(records, say=say)
        best = probabilities.argmax(axis=1) if len(records) else np.empty(0, dtype=np.int64)
        return pd.DataFrame(
            {
                "id": records["id"].astype("string").to_numpy(),
                "label": np.array(self.labels, dtype=object)[best],
                "confidence": probabilities[np.arange(len(best)), best],
            }
        ).astype({"id": "string", "label": "string"})

    def _require_columns(self, columns: Sequence[str]) -> None:
        missing = [name for name in ("text", *self.features) if name not in columns]
        if missing:
            raise InputError(
                f"{self.folder}: records lack the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
                f"the model reads: {', '.join(('text', *self.features))}; there are: {', '.join(map(str, columns))}"
            )


def texts_of(records: pd.DataFrame) -> list[str]:
    """The texts; a null one is as good as an empty one."""
    return records["text"].fillna("").astype(str).tolist()


def feature_matrix(records: pd.DataFrame, columns: Sequence[FeatureColumn]) -> Floats:
    """Numbers as they are and categories as the index of their level; NaN where null or never seen in training."""
    import pandas as pd

    out = np.full((len(records), len(columns)), np.nan)
    for index, column in enumerate(columns):
        values = records[column.name]
        if column.kind == "category":
            level_of = {level: float(code) for code, level in enumerate(column.levels)}
            out[:, index] = values.astype("string").map(level_of).astype("float64").to_numpy()
            continue
        try:
            out[:, index] = pd.to_numeric(values).astype("float64").to_numpy(na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise InputError(f"feature {column.name!r} must hold numbers: {error}") from error
    return out
