"""Train the cheap candidate and write its model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.baseline.boosting import feature_columns, fit_boosting, tuned
from pipelines.baseline.linear import fit_softmax, out_of_fold_logits
from pipelines.baseline.params import BaselineParams
from pipelines.core.calibration import apply_temperature, fit_temperature, log_loss
from pipelines.core.encoder import Encoder
from pipelines.core.linear import LinearModel, Vocabulary, unit_length
from pipelines.core.predictor import (
    BOOSTING_FILE,
    SCHEMA_VERSION,
    Floats,
    Manifest,
    feature_matrix,
    texts_of,
)
from pipelines.core.scorers import boosting_matrix
from pipelines.core.training import TrainingSet, macro_f1


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
    vectors = unit_length(encoder.embed(train_texts, say="embedding train"))
    seen_vectors = unit_length(encoder.embed(seen_texts, say="embedding validation"))
    linear, start = _fit_linear(data, train_texts, vectors, params=params, seed=seed)
    seen_linear = linear.logits(seen_texts, seen_vectors)

    columns = feature_columns(data.train, features=features, max_levels=params.boosting.max_levels)
    matrix = boosting_matrix(feature_matrix(data.train, columns), vectors, start)
    seen = boosting_matrix(feature_matrix(data.validation, columns), seen_vectors, seen_linear)
    has_gold = len(data.gold) > 0
    categorical = [index for index, column in enumerate(columns) if column.kind == "category" and column.levels]

    def boost(knobs: dict[str, Any]) -> tuple[str, int, float | None]:
        return fit_boosting(
            matrix,
            start=start,
            targets=data.targets,
            weights=data.weights,
            validation=(seen, seen_linear, data.gold) if has_gold else None,
            categorical=categorical,
            knobs=knobs,
            threads=threads,
            seed=seed,
        )

    knobs = tuned(
        params.boosting.model_dump(),
        trials=params.tuning.trials if has_gold else 0,
        seed=seed,
        score=lambda drawn: boost(drawn)[2],
    )
    text, rounds, _ = boost(knobs)
    logits = seen_linear + _raw(text, seen, len(labels))
    temperature = fit_temperature(logits, data.gold)

    linear.save(folder)
    (folder / BOOSTING_FILE).write_text(text, encoding="utf-8")
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
        "rounds": rounds,
        "stopped_by": "gold validation log loss" if has_gold else "fixed rounds: no gold validation rows",
        "boosting": {name: knobs[name] for name in sorted(knobs)},
        "temperature": temperature,
        "validation": {
            "rows": len(data.gold),
            "macro_f1": macro_f1(logits, data.gold) if has_gold else None,
            "macro_f1_words_only": macro_f1(seen_linear, data.gold) if has_gold else None,
            "log_loss": log_loss(apply_temperature(logits, temperature=temperature), data.gold) if has_gold else None,
        },
    }


def _fit_linear(
    data: TrainingSet, texts: list[str], vectors: Floats, *, params: BaselineParams, seed: int
) -> tuple[LinearModel, Floats]:
    """The linear model of all rows, and the out-of-fold logits of the same rows."""
    vocabulary = Vocabulary.fit(texts, **params.words.model_dump())
    words = vocabulary.transform(texts)
    beside = vectors if params.linear.vectors else vectors[:, :0]
    fit: dict[str, Any] = {
        "targets": data.targets,
        "weights": data.weights,
        "strength": params.linear.strength,
        "max_iterations": params.linear.max_iterations,
    }
    model = LinearModel(vocabulary, *fit_softmax(words, beside, **fit))
    return model, out_of_fold_logits(words, beside, **fit, folds=params.linear.folds, seed=seed)


def _raw(text: str, matrix: Floats, n_labels: int) -> Floats:
    """What the trees add to the linear logits."""
    import lightgbm as lgb

    if not text or not len(matrix):
        return np.zeros((len(matrix), n_labels))
    return np.asarray(lgb.Booster(model_str=text).predict(matrix, raw_score=True)).reshape(len(matrix), n_labels)
