"""The blend: both models' calibrated probabilities, with one weight and one temperature chosen on gold validation rows.

A linear opinion pool (Genest and Zidek 1986). Test rows take no part in the choice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.models.candidates import BASELINE, BLEND, FINETUNE
from pipelines.models.manifest import MANIFEST, SCHEMA_VERSION, Manifest
from pipelines.models.scorers import MEMBERS, blended_logits, same_base
from pipelines.runtime.errors import InputError
from pipelines.stages.evaluate.params import BlendParams
from pipelines.stats.calibration import log_losses
from pipelines.stats.comparison import cluster_rows
from pipelines.stats.temperature import apply_temperature, fit_temperature

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
EQUAL = 0.5  # the weight that evidence has to speak against


@dataclass(frozen=True)
class Blend:
    """A fitted blend; `losses` is the log loss on gold validation rows by weight, before the temperature."""

    weight: float  # of the fine-tuned model; the rest is the baseline's
    temperature: float
    rows: int
    losses: dict[float, float]

    def probabilities(self, baseline: Floats, finetune: Floats) -> Floats:
        """Return the blend's probabilities (n, k) of those of both models."""
        return apply_temperature(blended_logits(baseline, finetune, weight=self.weight), temperature=self.temperature)

    def as_metrics(self) -> dict[str, Any]:
        """Return the choice of the weight as `metrics.json` keeps it."""
        return {
            "weight": self.weight,
            "temperature": round(self.temperature, 6),
            "validation_rows": self.rows,
            "validation_log_loss": {f"{weight:g}": round(loss, 6) for weight, loss in self.losses.items()},
        }


def fit_blend(baseline: Floats, finetune: Floats, gold: Codes, *, clusters: Codes, weights: Sequence[float]) -> Blend:
    """Choose the weight and the temperature on gold rows; probabilities are (n, k), `gold` and `clusters` (n,).

    The weight is the one nearest to equal weights whose log loss is within one standard error of the lowest (the
    one-standard-error rule, Breiman et al. 1984), with the error taken over clusters of rows: few rows move it little.
    """
    losses = {weight: log_losses(np.exp(blended_logits(baseline, finetune, weight=weight)), gold) for weight in weights}
    best = min(weights, key=lambda weight: float(losses[weight].mean()))
    near = [
        weight
        for weight in weights
        if (excess := losses[weight] - losses[best]).mean() <= clustered_error(excess, clusters)
    ]
    chosen = min(near, key=lambda weight: (round(abs(weight - EQUAL), 9), weight))
    temperature = fit_temperature(blended_logits(baseline, finetune, weight=chosen), gold)
    return Blend(chosen, temperature, len(gold), {weight: float(loss.mean()) for weight, loss in losses.items()})


def clustered_error(values: Floats, clusters: Codes) -> float:
    """Return the standard error of the mean of values (n,) whose rows are independent between clusters only."""
    codes = np.unique(clusters, return_inverse=True)[1]
    sums = np.bincount(codes, weights=values - values.mean())
    n = len(sums)
    return float(np.sqrt((sums**2).sum() * n / (n - 1)) / len(values)) if n > 1 else float("inf")


def blend_of(
    records: pd.DataFrame,
    *,
    models: Mapping[str, Path],
    read: Callable[[str, pd.DataFrame], Floats],
    labels: Sequence[str],
    params: BlendParams,
    by: Sequence[str],
) -> Blend | str:
    """Return the blend that gold validation rows choose, or why there is none; `records` are those of split.

    `read` returns the probabilities (n, k) that a model's training kept for these rows. Rows that share a value of a
    column in `by` are not independent. Raises InputError when the models have different labels.
    """
    if not params.weights:
        return "evaluate.blend.weights is empty"
    rows = records[(records["part"] == "validation") & records["gold"].notna()].reset_index(drop=True)
    if len(rows) < params.min_rows:
        return f"{len(rows)} gold validation rows, evaluate.blend.min_rows = {params.min_rows}"
    baseline, finetune = (Manifest.read(models[name]) for name in MEMBERS)
    if not same_base(baseline, finetune):
        return "the baseline and the fine-tuned model read different base models"
    if baseline.labels != finetune.labels:
        raise InputError(f"{models[FINETUNE]}: its labels are not those of {models[BASELINE]}: run `dvc repro`")
    one, other = (read(name, rows) for name in MEMBERS)
    codes = np.array([list(labels).index(label) for label in rows["gold"]], dtype=np.int64)
    return fit_blend(one, other, codes, clusters=cluster_rows(rows, by=by), weights=params.weights)


def write_blend(folder: Path, blend: Blend, *, models: Mapping[str, Path]) -> Manifest:
    """Copy both models into the empty `folder` and write predictor.json; returns it."""
    members = {name: Manifest.read(models[name]) for name in MEMBERS}
    for name in MEMBERS:
        for file in (MANIFEST, *members[name].files):
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(models[name] / file, folder / name / file)
    baseline = members[BASELINE]
    known = {column.name for column in baseline.features}
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        kind=BLEND,
        labels=baseline.labels,
        features=(*baseline.features, *(item for item in members[FINETUNE].features if item.name not in known)),
        encoder=baseline.encoder,
        temperature=blend.temperature,
        settings={"weight": blend.weight},
        files={},
    )
    manifest.write(folder)
    return manifest
