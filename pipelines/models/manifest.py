"""What a model folder holds: predictor.json with its digests, and the columns of records that the model reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.models.base_model import BaseModelParams, file_sha256
from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "predictor.json"
BOOSTING_FILE = "boosting.txt"
ENCODER_FOLDER = "encoder"  # a registered version has its base model here
SCHEMA_VERSION = 1
RELEASE_AGAIN = "train and release again (make demo), or undo the change of the domain's schema"
Floats = NDArray[np.float64]


class FeatureColumn(BaseModel):
    """A column that the model reads: a number, or a category with the levels seen in training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str = Field(pattern="^(category|number)$")
    levels: tuple[str, ...] = ()


class Manifest(BaseModel):
    """predictor.json. Released models depend on its keys: rename none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    kind: str = Field(pattern="^(baseline|finetune|blend)$")
    labels: tuple[str, ...] = Field(min_length=2)
    features: tuple[FeatureColumn, ...]
    encoder: BaseModelParams
    temperature: float = Field(gt=0, allow_inf_nan=False)
    settings: dict[str, Any]  # what else the kind needs to compute the same numbers as in training
    files: dict[str, str]  # name -> sha256

    def require_schema(self, *, labels: Sequence[str], kinds: Mapping[str, str], what: str) -> None:
        """Raise InputError when the domain has other labels, or lacks or retyped a feature that the model reads.

        `kinds` are the domain's features, name -> "category" or "number".
        """
        if set(self.labels) != set(labels):
            raise InputError(
                f"{what} answers with the labels {', '.join(self.labels)}, the domain has {', '.join(labels)}: "
                f"{RELEASE_AGAIN}"
            )
        for column in self.features:
            if kinds.get(column.name) != column.kind:
                found = f"declares it as a {kinds[column.name]}" if column.name in kinds else "no longer has it"
                raise InputError(
                    f"{what} reads feature {column.name!r} as a {column.kind}, the domain {found}: {RELEASE_AGAIN}"
                )

    def with_precision(self, precision: str | None) -> Manifest:
        """Return the manifest with another number format of inference, or itself for None."""
        if precision is None:
            return self
        return self.model_copy(update={"encoder": self.encoder.model_copy(update={"precision": precision})})

    def write(self, folder: Path) -> None:
        """Write predictor.json with the digests of the files that are in the folder now."""
        for file in folder.rglob("*"):
            if file.is_file():
                file.chmod(0o644)  # safetensors creates files that only their owner can read
        files = {
            file.relative_to(folder).as_posix(): file_sha256(file)
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file != folder / MANIFEST
        }
        content = self.model_copy(update={"files": files}).model_dump(mode="json")
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return predictor.json after checking the digest of every file that it names.

        Raises InputError when the folder has no valid predictor.json, or a file is missing or was changed.
        """
        file = folder / MANIFEST
        if not file.is_file():
            raise InputError(f"{file} is missing: {folder} is not a model folder; run `dvc repro` or `dvc checkout`")
        try:
            manifest = cls.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise InputError(f"{file} does not describe a model: {error}") from error
        if manifest.schema_version != SCHEMA_VERSION:
            raise InputError(f"{file}: invalid schema_version = {manifest.schema_version}: expected {SCHEMA_VERSION}")
        for name, expected in manifest.files.items():
            found = file_sha256(folder / name) if (folder / name).is_file() else "missing"
            if found != expected:
                raise InputError(
                    f"{folder / name}: sha256 is {found}, expected {expected} ({MANIFEST}); changed after training"
                )
        return manifest


def texts_of(records: pd.DataFrame) -> list[str]:
    """Return the texts of records; a null text counts as an empty one."""
    return records["text"].fillna("").astype(str).tolist()


def feature_matrix(records: pd.DataFrame, columns: Sequence[FeatureColumn]) -> Floats:
    """Return the features of records as numbers, shape (n, k).

    A category is the index of its level; null and levels not seen in training are NaN. Raises InputError when a number
    column holds something else.
    """
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
