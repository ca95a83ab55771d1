"""The one predictor of evaluation, scoring, serving and release: a model folder in, probabilities out.

A folder holds predictor.json next to safetensors, LightGBM text and JSON, never a pickle. predictor.json names the
labels, the features, the base model's digests, the temperature and the sha256 of each file; changed files are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.models.base_model import find_base_model
from pipelines.models.manifest import ENCODER_FOLDER, Floats, Manifest
from pipelines.models.scorers import BlendScorer, Scorer, load_scorer
from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from pipelines.models.encoder import Vectors


class Predictor:
    """A trained model that predicts the same numbers in evaluation, scoring and serving."""

    def __init__(self, manifest: Manifest, scorer: Scorer, *, folder: Path) -> None:
        self.manifest = manifest
        self.folder = folder
        self.kind = manifest.kind
        self.labels = manifest.labels
        self.features = tuple(column.name for column in manifest.features)
        self._scorer = scorer

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        encoder_folder: Path | None = None,
        models_folder: Path | None = None,
        device: str = "cpu",
        precision: str | None = None,
    ) -> Predictor:
        """Check every digest, then load the model.

        The base model comes from `encoder_folder`, else from `folder/encoder`, else `find_base_model` searches for it,
        first in `models_folder`. A `precision` other than the manifest's is for comparisons with float32.
        Raises InputError when a file is missing, was changed, or does not fit.
        """
        folder = Path(folder)
        manifest = Manifest.read(folder).with_precision(precision)
        if encoder_folder is None and (folder / ENCODER_FOLDER).is_dir():
            encoder_folder = folder / ENCODER_FOLDER
        base = find_base_model(manifest.encoder, folder=encoder_folder, models_folder=models_folder)
        scorer = load_scorer(manifest, folder=folder, base=base, device=device, precision=precision)
        return cls(manifest, scorer, folder=folder)

    @classmethod
    def blend(cls, manifest: Manifest, members: Mapping[str, Predictor], *, folder: Path) -> Predictor:
        """Return the blend of predictors in memory, the same as `load` gives for its `folder`."""
        loaded = {name: (member._scorer, member.manifest.temperature) for name, member in members.items()}
        return cls(manifest, BlendScorer(loaded, weight=manifest.settings["weight"]), folder=folder)

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks that turn texts into vectors; `live.score` exports each."""
        return tuple(self._scorer.networks)

    def encode(self, ids: torch.Tensor, mask: torch.Tensor | None = None, *, network: str) -> torch.Tensor:
        """Return one vector per text, shape (n, width), from a network as it was loaded."""
        return self._scorer.networks[network].encode(ids, mask)

    def replace_encoders(self, vectors: Mapping[str, Vectors]) -> None:
        """Predict with another form of the same networks, which must have passed a parity gate.

        Raises InputError unless `vectors` has exactly the model's networks.
        """
        if set(vectors) != set(self.networks):
            found, expected = (", ".join(sorted(names)) or "none" for names in (vectors, self.networks))
            raise InputError(
                f"{self.folder}: the export has the networks {found}, the model has {expected}: export it again"
            )
        for name, function in vectors.items():
            self._scorer.networks[name].replace_encoder(function)

    def predict_logits(self, records: pd.DataFrame, *, progress: str = "") -> Floats:
        """Return logits before the temperature, shape (n, labels); `progress` names the work on a progress bar.

        Raises InputError when a column is missing or the model gives NaN or infinity.
        """
        self._require_columns(list(records.columns))
        if not len(records):
            return np.empty((0, len(self.labels)))
        logits = self._scorer.logits(records, progress=progress)
        broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        if len(broken):
            row = int(broken[0])
            name = f" (id {records['id'].iloc[row]})" if "id" in records.columns else ""
            raise InputError(
                f"{self.folder}: the model gives NaN or infinity for {len(broken)} of {len(records)} records, "
                f"the first in row {row}{name}; it must not be used: train it again"
            )
        return logits

    def predict_proba(self, records: pd.DataFrame, *, progress: str = "") -> Floats:
        """Return probabilities in the order of `labels`, shape (n, labels); needs columns `text` and the features."""
        from pipelines.stats.temperature import apply_temperature

        logits = self.predict_logits(records, progress=progress)
        return apply_temperature(logits, temperature=self.manifest.temperature)

    def predict(self, records: pd.DataFrame, *, progress: str = "") -> pd.DataFrame:
        """Return `id`, the most probable `label`, and its probability as `confidence`."""
        import pandas as pd

        if "id" not in records.columns:
            raise InputError("records lack the column 'id'")
        probabilities = self.predict_proba(records, progress=progress)
        best = probabilities.argmax(axis=1) if len(records) else np.empty(0, dtype=np.int64)
        return pd.DataFrame(
            {
                "id": records["id"].astype("string").to_numpy(),
                "label": np.array(self.labels, dtype=object)[best],
                "confidence": probabilities[np.arange(len(best)), best],
            }
        ).astype({"id": "string", "label": "string"})

    def _require_columns(self, columns: Sequence[str]) -> None:
        needed = ("text", *self.features)
        missing = [name for name in needed if name not in columns]
        if missing:
            raise InputError(
                f"{self.folder}: records lack the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
                f"the model reads {', '.join(needed)}; the records have {', '.join(map(str, columns))}"
            )
