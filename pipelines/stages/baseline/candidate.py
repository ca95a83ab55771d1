"""Train the cheap candidate and write its model folder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.models.encoder import Encoder
from pipelines.models.linear import LinearModel, Vocabulary, unit_length
from pipelines.models.manifest import BOOSTING_FILE, SCHEMA_VERSION, Floats, Manifest, feature_matrix, texts_of
from pipelines.models.scorers import boosting_matrix
from pipelines.stages.baseline.boosting import Boosted, feature_columns, fit_boosting, tuned
from pipelines.stages.baseline.linear import fit_mean, out_of_fold_logits
from pipelines.stages.baseline.params import BaselineParams
from pipelines.stats.calibration import log_loss
from pipelines.stats.comparison import macro_f1_score
from pipelines.stats.temperature import apply_temperature, fit_temperature
from pipelines.training.training_set import TrainingSet


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
    """Fit words, trees and temperature, write the folder, and give the metrics."""
    train_texts, seen_texts = texts_of(data.train), texts_of(data.validation)
    vectors = unit_length(encoder.embed(train_texts, progress="embedding train"))
    seen_vectors = unit_length(encoder.embed(seen_texts, progress="embedding validation"))
    linear, start, tried = _fit_linear(data, vectors, seen_vectors, params=params, seed=seed)
    seen_linear = linear.logits(seen_texts, seen_vectors)

    columns = feature_columns(data.train, features=features, max_levels=params.boosting.max_levels)
    matrix = boosting_matrix(feature_matrix(data.train, columns), vectors, start)
    seen = boosting_matrix(feature_matrix(data.validation, columns), seen_vectors, seen_linear)
    has_gold = len(data.gold) > 0
    categorical = [index for index, column in enumerate(columns) if column.kind == "category" and column.levels]

    def boost(parameters: dict[str, Any]) -> Boosted:
        return fit_boosting(
            matrix,
            start=start,
            targets=data.targets,
            weights=data.weights,
            validation=(seen, seen_linear, data.gold) if has_gold else None,
            categorical=categorical,
            parameters=parameters,
            threads=threads,
            seed=seed,
        )

    parameters = tuned(
        params.boosting.model_dump(),
        trials=params.tuning.trials if has_gold else 0,
        seed=seed,
        score=lambda drawn: boost(drawn).log_loss,
    )
    boosted = boost(parameters)
    logits = boosted.logits(seen, start=seen_linear)
    temperature = fit_temperature(logits, data.gold)

    linear.save(folder)
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
        "terms": len(linear.vocabulary.terms),
        "linear": tried,
        "rounds": boosted.rounds,
        "stopped_by": boosted.stopped_by,
        "boosting": {name: parameters[name] for name in sorted(parameters)},
        "temperature": temperature,
        "validation": {
            "rows": len(data.gold),
            "macro_f1": macro_f1_score(data.gold, logits) if has_gold else None,
            "macro_f1_linear": macro_f1_score(data.gold, seen_linear) if has_gold else None,
            "log_loss": log_loss(apply_temperature(logits, temperature=temperature), data.gold) if has_gold else None,
        },
    }


def _fit_linear(
    data: TrainingSet, vectors: Floats, seen_vectors: Floats, *, params: BaselineParams, seed: int
) -> tuple[LinearModel, Floats, list[dict[str, Any]]]:
    """The mean of the linear models asked for, out-of-fold logits of the training rows by the same recipe, and how each
    of the models does alone on gold validation.
    """
    texts, seen_texts = texts_of(data.train), texts_of(data.validation)
    vocabulary = Vocabulary.fit(texts, **params.words.model_dump())
    words = vocabulary.transform(texts)
    recipes = list(product(params.linear.vectors, params.linear.strengths))
    fit: dict[str, Any] = {
        "recipes": recipes,
        "targets": data.targets,
        "weights": data.weights,
        "max_iterations": params.linear.max_iterations,
    }
    each, mean = fit_mean(words, vectors, **fit)
    start = out_of_fold_logits(words, vectors, **fit, folds=params.linear.folds, seed=seed)
    alone = [LinearModel(vocabulary, *weights).logits(seen_texts, seen_vectors) for weights in each]
    tried = [
        {
            "vectors": with_vectors,
            "strength": strength,
            "validation_macro_f1": macro_f1_score(data.gold, logits) if len(data.gold) else None,
        }
        for (with_vectors, strength), logits in zip(recipes, alone, strict=True)
    ]
    return LinearModel(vocabulary, *mean), start, tried
