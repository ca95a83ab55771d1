"""How each kind of model folder turns records into logits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipelines.models.adapter import HEAD_FILE, load_merged
from pipelines.models.encoder import Encoder, Vectors, compute_type, load_network, load_tokenizer, pool, run_by_length
from pipelines.models.linear import LinearModel, unit_length
from pipelines.models.manifest import BOOSTING_FILE, Floats, Manifest, feature_matrix, texts_of
from pipelines.runtime.errors import InputError
from pipelines.stats.temperature import apply_temperature

if TYPE_CHECKING:
    import pandas as pd
    import torch


NETWORK = "encoder"  # name of the only network of a model other than a blend
MEMBERS = ("baseline", "finetune")  # of a blend: a model folder each, below its own
SMALLEST = 1e-12  # a smaller probability counts as this, so that its logarithm is finite


class Network(Protocol):
    """Turns texts into vectors."""

    def encode(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return one vector per text of a batch; `mask` is 0 where a shorter text was padded."""

    def replace_encoder(self, vectors: Vectors) -> None:
        """Compute the vectors of texts with another form of the same network."""


class Scorer(Protocol):
    """Turns records into logits."""

    networks: Mapping[str, Network]

    def logits(self, records: pd.DataFrame, *, progress: str) -> Floats:
        """Return one logit per label for every record, shape (n, labels)."""


def load_scorer(manifest: Manifest, *, folder: Path, base: Path, device: str, precision: str | None = None) -> Scorer:
    """Load the scorer of a model folder; `base` is the folder of its base model.

    A `precision` other than its own is for comparisons.
    """
    manifest = manifest.with_precision(precision)
    if manifest.kind == "blend":
        return BlendScorer.load(manifest, folder=folder, base=base, device=device, precision=precision)
    kind = BaselineScorer if manifest.kind == "baseline" else FinetuneScorer
    return kind(manifest, folder=folder, base=base, device=device)


class BaselineScorer:
    """The linear model's logits, plus what the trees add from features, vectors and those logits."""

    def __init__(self, manifest: Manifest, *, folder: Path, base: Path, device: str) -> None:
        import lightgbm as lgb

        self.networks: Mapping[str, Network] = {NETWORK: self}
        self.columns = manifest.features
        self.encoder = Encoder(manifest.encoder, folder=base, device=device)
        self.linear = LinearModel.load(folder)
        self.n_labels = len(manifest.labels)
        text = (folder / BOOSTING_FILE).read_text(encoding="utf-8")
        self.booster = lgb.Booster(model_str=text) if text.strip() else None  # empty: trees did not help

    def logits(self, records: pd.DataFrame, *, progress: str) -> Floats:
        """Return one logit per label for every record, shape (n, labels)."""
        texts = texts_of(records)
        vectors = unit_length(self.encoder.embed(texts, progress=progress))
        return self.logits_from(texts, vectors, records)

    def logits_from(self, texts: list[str], vectors: Floats, records: pd.DataFrame) -> Floats:
        """Return the logits of records whose vectors, shape (n, width), are known already."""
        linear = self.linear.logits(texts, vectors)
        if self.booster is None:
            return linear
        matrix = boosting_matrix(feature_matrix(records, self.columns), vectors, linear)
        return linear + np.asarray(self.booster.predict(matrix, raw_score=True)).reshape(len(records), self.n_labels)

    def encode(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return one vector per text of a batch."""
        return self.encoder.encode(ids, mask)

    def replace_encoder(self, vectors: Vectors) -> None:
        """Compute the vectors of texts with another form of the same network."""
        self.encoder.replacement = vectors


class FinetuneScorer:
    """The fine-tuned encoder, pooled, and its head; the adapter is merged, so it is as fast as the base model."""

    def __init__(self, manifest: Manifest, *, folder: Path, base: Path, device: str) -> None:
        import torch
        from safetensors.torch import load_file

        self.networks: Mapping[str, Network] = {NETWORK: self}
        spec = manifest.encoder
        self.device, self.pooling, self.n_labels = device, spec.pooling, len(manifest.labels)
        self.tokenize = load_tokenizer(base, max_tokens=spec.max_tokens, max_characters=spec.max_characters)
        network = load_merged(load_network(base, layers=spec.layers), folder)
        self.network = network.to(device=device, dtype=compute_type(spec.precision, device=device))
        head = load_file(folder / HEAD_FILE)
        self.weight, self.bias = head["weight"].to(device), head["bias"].to(device)
        expected = (self.n_labels, network.config.hidden_size)
        if tuple(self.weight.shape) != expected:
            raise InputError(
                f"{folder / HEAD_FILE}: shape is {tuple(self.weight.shape)}, expected {expected}: labels and base model"
            )
        self._linear = torch.nn.functional.linear
        self._replacement: Vectors | None = None

    def logits(self, records: pd.DataFrame, *, progress: str) -> Floats:
        """Return one logit per label for every record, shape (n, labels)."""

        def scores(ids: torch.Tensor) -> torch.Tensor:
            return self._linear(self.encode(ids), self.weight, self.bias)

        tokens = self.tokenize(texts_of(records))
        if self._replacement is not None:
            vectors = self._replacement(tokens)
            return np.asarray(vectors @ self.weight.cpu().numpy().T + self.bias.cpu().numpy(), dtype=np.float64)
        out = run_by_length(tokens, scores, width=self.n_labels, device=self.device, progress=progress)
        return np.asarray(out, dtype=np.float64)

    def encode(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return one vector per text of a batch; `mask` is 0 where a shorter text was padded."""
        hidden = self.network(input_ids=ids, attention_mask=mask).last_hidden_state
        return pool(hidden, mask=mask, pooling=self.pooling)

    def replace_encoder(self, vectors: Vectors) -> None:
        """Compute the vectors of texts with another form of the same network."""
        self._replacement = vectors


class BlendScorer:
    """The weighted mean of the calibrated probabilities of two models; its logits are the logarithms."""

    def __init__(self, members: Mapping[str, tuple[Scorer, float]], *, weight: float) -> None:
        self.members = {name: members[name] for name in MEMBERS}  # scorer and temperature of each
        self.weight = weight
        self.networks: Mapping[str, Network] = {
            name: scorer.networks[NETWORK] for name, (scorer, _) in self.members.items() if scorer.networks
        }

    @classmethod
    def load(cls, manifest: Manifest, *, folder: Path, base: Path, device: str, precision: str | None) -> BlendScorer:
        """Load both members; InputError when one has other labels or another base model than the blend."""
        loaded = {}
        for name in MEMBERS:
            member = Manifest.read(folder / name)
            if member.kind != name or member.labels != manifest.labels:
                raise InputError(
                    f"{folder / name}: it is a {member.kind} model with the labels {', '.join(member.labels)}, expected "
                    f"a {name} model with {', '.join(manifest.labels)}"
                )
            if not same_base(member, manifest):
                raise InputError(f"{folder / name}: its base model is not {manifest.encoder.name} of the blend")
            scorer = load_scorer(member, folder=folder / name, base=base, device=device, precision=precision)
            loaded[name] = (scorer, member.temperature)
        return cls(loaded, weight=manifest.settings["weight"])

    def logits(self, records: pd.DataFrame, *, progress: str) -> Floats:
        """Return one logit per label for every record, shape (n, labels)."""
        baseline, finetune = (
            apply_temperature(scorer.logits(records, progress=progress), temperature=temperature)
            for scorer, temperature in self.members.values()
        )
        return blended_logits(baseline, finetune, weight=self.weight)


def blended_logits(baseline: Floats, finetune: Floats, *, weight: float) -> Floats:
    """Return the logarithms of the weighted mean of probabilities (n, k); `weight` is that of the fine-tuned model."""
    return np.asarray(np.log(np.maximum((1.0 - weight) * baseline + weight * finetune, SMALLEST)))


def same_base(one: Manifest, other: Manifest) -> bool:
    """Return whether two models read the same files of the same base model."""
    return all(
        getattr(one.encoder, name) == getattr(other.encoder, name)
        for name in ("sha256", "tokenizer_sha256", "config_sha256")
    )


def boosting_matrix(features: Floats, vectors: Floats, linear: Floats) -> Floats:
    """Return the input of the trees: features, vectors, and the linear model's logits relative to their mean."""
    return np.hstack([features, vectors, linear - linear.mean(axis=1, keepdims=True)])
