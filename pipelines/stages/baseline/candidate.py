"""Train the baseline and write its model folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.models.encoder import Encoder
from pipelines.models.linear import LinearModel, Vocabulary, unit_length
from pipelines.models.manifest import (
    BOOSTING_FILE,
    SCHEMA_VERSION,
    Floats,
    Manifest,
    feature_matrix,
    texts_of,
)
from pipelines.models.scorers import boosting_matrix
from pipelines.stages.baseline.boosting import TreeData, Validation, feature_columns, fit_boosting, tuned
from pipelines.stages.baseline.linear import fit_mean, out_of_fold_logits
from pipelines.stages.baseline.params import BaselineParams
from pipelines.stats.calibration import log_loss
from pipelines.stats.comparison import macro_f1_score
from pipelines.stats.temperature import apply_temperature, fit_temperature
from pipelines.text.scripts import UNSPACED
from pipelines.training.training_set import TrainingSet


@dataclass(frozen=True)
class Fitted:
    """The linear model with its logits of the validation rows, and the out-of-fold logits of the training rows."""

    model: LinearModel
    validation: Floats
    out_of_fold: Floats
    alone: list[dict[str, Any]]  # each averaged model and its gold validation macro-F1


def train(
    data: TrainingSet,
    *,
    folder: Path,
    labels: Sequence[str],
    features: Sequence[Any],
    params: BaselineParams,
    encoder: Encoder,
    threads: int,
    seed: int,
) -> dict[str, Any]:
    """Fit linear model, trees and temperature, write the model folder, and return the metrics.

    `validation_probabilities` among them are those of the gold validation rows, (n, k) as lists.
    """
    vectors = unit_length(encoder.embed(texts_of(data.train), progress="embedding train"))
    held_vectors = unit_length(encoder.embed(texts_of(data.validation), progress="embedding validation"))
    linear = _fit_linear(data, vectors, held_vectors, params=params, seed=seed)
    columns = feature_columns(data.train, features=features, max_levels=params.boosting.max_levels)
    held = boosting_matrix(feature_matrix(data.validation, columns), held_vectors, linear.validation)
    trees = TreeData(
        boosting_matrix(feature_matrix(data.train, columns), vectors, linear.out_of_fold),
        start=linear.out_of_fold,
        targets=data.targets,
        weights=data.weights,
        categorical=[index for index, column in enumerate(columns) if column.kind == "category" and column.levels],
        validation=Validation(held, start=linear.validation, gold=data.gold) if len(data.gold) else None,
    )
    boost = partial(fit_boosting, trees, threads=threads, seed=seed)

    def loss(drawn: dict[str, Any]) -> float:
        found = boost(parameters=drawn).log_loss
        return np.inf if found is None else found

    parameters = tuned(
        params.boosting.model_dump(),
        trials=params.tuning.trials if len(data.gold) else 0,
        seed=seed,
        score=loss,
    )
    boosted = boost(parameters=parameters)
    logits = boosted.logits(held, start=linear.validation)
    temperature = fit_temperature(logits, data.gold)

    linear.model.save(folder)
    (folder / BOOSTING_FILE).write_text(boosted.text, encoding="utf-8")
    Manifest(
        schema_version=SCHEMA_VERSION,
        kind="baseline",
        labels=tuple(labels),
        features=columns,
        encoder=params.base_model,
        temperature=temperature,
        settings={"precision": params.base_model.precision},
        files={},
    ).write(folder)
    return {
        "train_rows": len(data.train),
        "train_rows_per_label": dict(zip(labels, np.round(data.targets.sum(axis=0), 3).tolist(), strict=True)),
        "terms": len(linear.model.vocabulary.terms),
        "linear": linear.alone,
        "rounds": boosted.rounds,
        "stopped_by": boosted.stopped_by,
        "boosting": {name: parameters[name] for name in sorted(parameters)},
        "temperature": temperature,
        "validation": _scores(data, logits, linear.validation, temperature=temperature),
        "validation_probabilities": apply_temperature(logits, temperature=temperature).tolist() if len(logits) else [],
    }


def _fit_linear(
    data: TrainingSet, vectors: Floats, held_vectors: Floats, *, params: BaselineParams, seed: int
) -> Fitted:
    """Fit the mean of the linear models that the parameters list, and out-of-fold logits by the same recipe."""
    texts, held_texts = texts_of(data.train), texts_of(data.validation)
    unspaced = UNSPACED if any(re.search(f"[{UNSPACED}]", text) for text in texts) else ""
    vocabulary = Vocabulary.fit(texts, **params.words.model_dump(), unspaced=unspaced)
    words = vocabulary.transform(texts)
    recipes = list(product(params.linear.vectors, params.linear.strengths))
    fit: dict[str, Any] = {
        "recipes": recipes,
        "targets": data.targets,
        "weights": data.weights,
        "max_iterations": params.linear.max_iterations,
    }
    each, mean = fit_mean(words, vectors, **fit)
    out_of_fold = out_of_fold_logits(words, vectors, **fit, folds=params.linear.folds, seed=seed)
    alone = [LinearModel(vocabulary, *weights).logits(held_texts, held_vectors) for weights in each]
    model = LinearModel(vocabulary, *mean)
    return Fitted(
        model,
        validation=model.logits(held_texts, held_vectors),
        out_of_fold=out_of_fold,
        alone=[
            {
                "vectors": with_vectors,
                "strength": strength,
                "validation_macro_f1": macro_f1_score(data.gold, logits) if len(data.gold) else None,
            }
            for (with_vectors, strength), logits in zip(recipes, alone, strict=True)
        ],
    )


def _scores(data: TrainingSet, logits: Floats, linear: Floats, *, temperature: float) -> dict[str, Any]:
    """Return gold validation scores; null without gold validation rows."""
    if not len(data.gold):
        return {"rows": 0, "macro_f1": None, "macro_f1_linear": None, "log_loss": None}
    return {
        "rows": len(data.gold),
        "macro_f1": macro_f1_score(data.gold, logits),
        "macro_f1_linear": macro_f1_score(data.gold, linear),
        "log_loss": log_loss(apply_temperature(logits, temperature=temperature), data.gold),
    }
