"""Trees on top of the linear model: LightGBM starts from its logits and adds what features and vectors know."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.models.manifest import FeatureColumn, Floats
from pipelines.runtime.progress import advancing
from pipelines.stats.calibration import log_losses
from pipelines.stats.comparison import macro_f1_score
from pipelines.stats.temperature import apply_temperature, fit_temperature

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)
LEAST_SHARE = 0.05  # of a row's weight: a smaller probability of a label makes no row for the trees

RANGES: dict[str, tuple[Any, Any, str]] = {  # what optuna draws from: lowest, highest, scale
    "learning_rate": (0.01, 0.3, "log"),
    "leaves": (3, 63, "log"),
    "min_leaf_rows": (5, 100, "log"),
    "column_share": (0.1, 1.0, "linear"),
    "l2": (0.001, 30.0, "log"),
}


@dataclass(frozen=True)
class Boosted:
    """Trees that are kept, why there are no more of them, and gold validation log loss with them."""

    text: str  # LightGBM's own format; empty without trees
    rounds: int
    stopped_by: str
    log_loss: float | None = None  # of gold validation, calibrated

    def logits(self, matrix: Floats, *, start: Floats) -> Floats:
        """The linear model's logits and what the trees add to them."""
        import lightgbm as lgb

        if not self.text or not len(matrix):
            return start
        raw = np.asarray(lgb.Booster(model_str=self.text).predict(matrix, raw_score=True))
        return start + raw.reshape(start.shape)


def feature_columns(train: pd.DataFrame, *, features: Sequence[Any], max_levels: int) -> tuple[FeatureColumn, ...]:
    """The domain's features with the most frequent levels of each category; ties go by the alphabet."""
    columns = []
    for feature in features:
        levels: tuple[str, ...] = ()
        if feature.kind == "category":
            counts = train[feature.name].dropna().astype(str).value_counts()
            ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:max_levels]
            levels = tuple(sorted(level for level, _ in ranked))
        columns.append(FeatureColumn(name=feature.name, kind=feature.kind, levels=levels))
    return tuple(columns)


def rows_per_label(targets: Floats, weights: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Soft targets as rows for a learner of hard ones: row number, label and weight of each label that matters."""
    row, label = np.nonzero(targets >= LEAST_SHARE)
    share = targets[row, label]
    total = np.bincount(row, weights=share, minlength=len(targets))
    return row, label, weights[row] * share / total[row]


def fit_boosting(
    matrix: Floats,
    *,
    start: Floats,
    targets: Floats,
    weights: Floats,
    validation: tuple[Floats, Floats, NDArray[np.int64]] | None,
    categorical: Sequence[int],
    parameters: dict[str, Any],
    threads: int,
    seed: int,
) -> Boosted:
    """As many rounds as lower gold validation log loss; none without evidence that they know more than `start` does.

    Evidence is a mean gain in log loss of `evidence` standard errors over the gold rows (the one-standard-error rule of
    Breiman et al. 1984), the logits of both calibrated first: else trees are kept that only change how sure the linear
    model is, which the temperature does without them. Macro-F1, which decides later, must not fall either.

    `start` and the validation triple's second part are the linear model's logits, from which boosting sets out.
    """
    import lightgbm as lgb

    rounds, patience = parameters["rounds"], parameters["patience"]
    if rounds == 0:
        return Boosted("", 0, "no rounds were asked for")
    row, label, row_weights = rows_per_label(targets, weights)
    params = {
        "objective": "multiclass",
        "num_class": targets.shape[1],
        "learning_rate": parameters["learning_rate"],
        "num_leaves": parameters["leaves"],
        "min_data_in_leaf": parameters["min_leaf_rows"],
        "feature_fraction": parameters["column_share"],
        "lambda_l2": parameters["l2"],
        "max_bin": parameters["max_bins"],
        "metric": "multi_logloss",
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "seed": seed,
        "verbosity": -1,
        "boost_from_average": False,
    }
    data = lgb.Dataset(
        matrix[row],
        label=label,
        weight=row_weights,
        init_score=start[row],
        categorical_feature=list(categorical),
        params=params,
        free_raw_data=True,
    )
    if validation is None:
        booster = lgb.train(params, data, num_boost_round=rounds)
        return Boosted(text_of(booster, rounds), rounds, "fixed rounds: no gold validation rows")
    seen, seen_start, gold = validation
    held = data.create_valid(seen, label=gold, init_score=seen_start)
    with advancing("boosting", total=rounds) as advance:
        booster = lgb.train(
            params,
            data,
            num_boost_round=rounds,
            valid_sets=[held],
            callbacks=[lgb.early_stopping(patience, verbose=False), lambda _: advance(1)],
        )
    kept = booster.best_iteration or rounds
    why = "all rounds done" if kept == rounds else "gold validation log loss"
    text = text_of(booster, kept)
    ours = Boosted(text, kept, why).logits(seen, start=seen_start)
    without, with_trees = _calibrated_losses(seen_start, gold), _calibrated_losses(ours, gold)
    gain = without - with_trees
    if gain.mean() <= parameters["evidence"] * gain.std() / np.sqrt(len(gain)):
        return Boosted("", 0, "no evidence that trees lower gold validation log loss", float(without.mean()))
    if macro_f1_score(gold, ours) < macro_f1_score(gold, seen_start):
        return Boosted("", 0, "the trees lower gold validation macro-F1", float(without.mean()))
    return Boosted(text, kept, why, float(with_trees.mean()))


def text_of(booster: Any, rounds: int) -> str:
    """The model as LightGBM text with its first `rounds` rounds."""
    return str(booster.model_to_string(num_iteration=rounds))


def tuned(parameters: dict[str, Any], *, trials: int, seed: int, score: Any) -> dict[str, Any]:
    """The boosting parameters with the least `score(parameters)` of a fixed number of seeded trials, the given ones first."""
    if trials == 0:
        return parameters
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({name: parameters[name] for name in RANGES}, skip_if_exists=True)

    def objective(trial: Any) -> float:
        drawn: dict[str, Any] = {}
        for name, (lowest, highest, scale) in RANGES.items():
            low, high = (
                min(lowest, parameters[name]),
                max(highest, parameters[name]),
            )  # the given value is always allowed
            suggest = trial.suggest_int if isinstance(low, int) else trial.suggest_float
            drawn[name] = suggest(name, low, high, log=scale == "log")
        return float(score({**parameters, **drawn}))

    study.optimize(objective, n_trials=trials)
    return {**parameters, **study.best_params}


def _calibrated_losses(logits: Floats, gold: NDArray[np.int64]) -> Floats:
    """Log loss of each gold row at the temperature that fits these rows best."""
    return log_losses(apply_temperature(logits, temperature=fit_temperature(logits, gold)), gold)
