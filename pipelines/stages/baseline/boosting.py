"""Trees on top of the linear model: LightGBM starts from its logits and adds what features and vectors know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    import lightgbm as lgb
    import pandas as pd

MIN_SHARE = 0.05  # of a row's weight: labels with a smaller probability make no row for the trees

RANGES: dict[str, tuple[Any, Any, str]] = {  # what optuna draws from: lowest, highest, scale
    "learning_rate": (0.01, 0.3, "log"),
    "leaves": (3, 63, "log"),
    "min_leaf_rows": (5, 100, "log"),
    "column_share": (0.1, 1.0, "linear"),
    "l2": (0.001, 30.0, "log"),
}


@dataclass(frozen=True)
class Validation:
    """Gold validation rows of the trees."""

    matrix: Floats  # (n, k)
    start: Floats  # the linear model's logits, (n, labels)
    gold: NDArray[np.int64]


@dataclass(frozen=True)
class TreeData:
    """What the trees are fitted on."""

    matrix: Floats  # (n, k), see `models.scorers.boosting_matrix`
    start: Floats  # the linear model's out-of-fold logits, from which boosting starts, (n, labels)
    targets: Floats  # a probability per label, (n, labels)
    weights: Floats
    categorical: Sequence[int]  # columns of the matrix
    validation: Validation | None  # None: no gold validation rows


@dataclass(frozen=True)
class Boosted:
    """The trees that are kept, why boosting stopped, and gold validation log loss with them."""

    text: str  # LightGBM's own format; empty without trees
    rounds: int
    stopped_by: str
    log_loss: float | None = None  # of gold validation, calibrated

    def logits(self, matrix: Floats, *, start: Floats) -> Floats:
        """Return the linear model's logits plus what the trees add to them, shape (n, labels)."""
        import lightgbm as lgb

        if not self.text or not len(matrix):
            return start
        raw = np.asarray(lgb.Booster(model_str=self.text).predict(matrix, raw_score=True))
        return start + raw.reshape(start.shape)


def feature_columns(train: pd.DataFrame, *, features: Sequence[Any], max_levels: int) -> tuple[FeatureColumn, ...]:
    """Return the domain's features with the most frequent levels of each category, ties in alphabetical order."""
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
    """Turn soft targets into rows for a learner of hard labels: row number, label and weight of each relevant label."""
    row, label = np.nonzero(targets >= MIN_SHARE)
    share = targets[row, label]
    total = np.bincount(row, weights=share, minlength=len(targets))
    return row, label, weights[row] * share / total[row]


def fit_boosting(data: TreeData, *, parameters: dict[str, Any], threads: int, seed: int) -> Boosted:
    """Fit as many rounds as lower gold validation log loss, and none without evidence that trees add knowledge.

    Evidence is a mean gain in log loss of `evidence` standard errors over the gold rows (the one-standard-error rule of
    Breiman et al. 1984). Both models' logits are calibrated first: otherwise trees would be kept that only change the
    linear model's confidence, which the temperature can do without them. Macro-F1, which decides later, must not fall.
    """
    import lightgbm as lgb

    rounds = parameters["rounds"]
    if rounds == 0:
        return Boosted("", 0, "no rounds were asked for")
    options = _options(parameters, n_labels=data.targets.shape[1], threads=threads, seed=seed)
    row, label, row_weights = rows_per_label(data.targets, data.weights)
    train = lgb.Dataset(
        data.matrix[row],
        label=label,
        weight=row_weights,
        init_score=data.start[row],
        categorical_feature=list(data.categorical),
        params=options,
        free_raw_data=True,
    )
    held = data.validation
    if held is None:
        booster = lgb.train(options, train, num_boost_round=rounds)
        return Boosted(text_of(booster, rounds), rounds, "fixed rounds: no gold validation rows")
    valid = train.create_valid(held.matrix, label=held.gold, init_score=held.start)
    with advancing("boosting", total=rounds) as advance:
        booster = lgb.train(
            options,
            train,
            num_boost_round=rounds,
            valid_sets=[valid],
            callbacks=[lgb.early_stopping(parameters["patience"], verbose=False), lambda _: advance(1)],
        )
    kept = booster.best_iteration or rounds
    stopped_by = "all rounds done" if kept == rounds else "gold validation log loss"
    return _with_evidence(Boosted(text_of(booster, kept), kept, stopped_by), held, evidence=parameters["evidence"])


def _options(parameters: dict[str, Any], *, n_labels: int, threads: int, seed: int) -> dict[str, Any]:
    """Return LightGBM's parameters; with these the result depends on the data, the threads and the seed only."""
    return {
        "objective": "multiclass",
        "num_class": n_labels,
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


def _with_evidence(boosted: Boosted, held: Validation, *, evidence: float) -> Boosted:
    """Return the trees with their log loss, or no trees where gold validation gives no evidence for them."""
    logits = boosted.logits(held.matrix, start=held.start)
    without, with_trees = _calibrated_losses(held.start, held.gold), _calibrated_losses(logits, held.gold)
    gain = without - with_trees
    if gain.mean() <= evidence * gain.std() / np.sqrt(len(gain)):
        return Boosted("", 0, "no evidence that trees lower gold validation log loss", float(without.mean()))
    if macro_f1_score(held.gold, logits) < macro_f1_score(held.gold, held.start):
        return Boosted("", 0, "the trees lower gold validation macro-F1", float(without.mean()))
    return Boosted(boosted.text, boosted.rounds, boosted.stopped_by, float(with_trees.mean()))


def text_of(booster: lgb.Booster, rounds: int) -> str:
    """Return the first `rounds` rounds of a model in LightGBM's text format."""
    return str(booster.model_to_string(num_iteration=rounds))


def tuned(
    parameters: dict[str, Any], *, trials: int, seed: int, score: Callable[[dict[str, Any]], float]
) -> dict[str, Any]:
    """Return the boosting parameters with the lowest `score` of a fixed number of seeded trials.

    The first trial is the given parameters.
    """
    if trials == 0:
        return parameters
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({name: parameters[name] for name in RANGES}, skip_if_exists=True)

    def objective(trial: Any) -> float:
        drawn: dict[str, Any] = {}
        for name, (lowest, highest, scale) in RANGES.items():
            # the given value is always in the range
            low, high = min(lowest, parameters[name]), max(highest, parameters[name])
            suggest = trial.suggest_int if isinstance(low, int) else trial.suggest_float
            drawn[name] = suggest(name, low, high, log=scale == "log")
        return score({**parameters, **drawn})

    study.optimize(objective, n_trials=trials)
    return {**parameters, **study.best_params}


def _calibrated_losses(logits: Floats, gold: NDArray[np.int64]) -> Floats:
    """Return the log loss of each gold row at the temperature that fits these rows best."""
    return log_losses(apply_temperature(logits, temperature=fit_temperature(logits, gold)), gold)
