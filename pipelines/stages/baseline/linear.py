"""Train the linear model on words: multinomial logistic regression with soft targets, and its out-of-fold logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.runtime.progress import advancing

Floats = NDArray[np.float64]
Weights = tuple[Floats, Floats, Floats]  # words (terms, labels), vectors (width, labels), intercept (labels,)
Recipe = tuple[bool, float]  # whether the model gets vectors as well as words, and C


def fit_softmax(
    words: Any, vectors: Floats, *, targets: Floats, weights: Floats, strength: float, max_iterations: int
) -> Weights:
    """Return the weights that minimize strength * sum w_i CE_i + |W|^2 / 2.

    This is the objective of scikit-learn's LogisticRegression(C=strength), with a probability for each label as the
    target of a row; scikit-learn takes hard labels only. `words` is sparse, (n, terms); `vectors` (n, width); `targets`
    (n, labels). The intercept is not penalized.
    """
    from scipy.optimize import minimize

    n_words, width, n_labels = words.shape[1], vectors.shape[1], targets.shape[1]
    transposed = words.T.tocsr()
    ends = np.cumsum([n_words * n_labels, width * n_labels])
    scale = 1.0 / (strength * weights.sum())  # divides the objective by the size of its data part: a well-scaled start

    def unpack(flat: Floats) -> Weights:
        first, second, bias = np.split(flat, ends)
        return first.reshape(n_words, n_labels), second.reshape(width, n_labels), bias

    def objective(flat: Floats) -> tuple[float, Floats]:
        first, second, bias = unpack(flat)
        logits = words @ first + vectors @ second + bias
        logits -= logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        log_probability = logits - log_sum
        loss = -(weights[:, None] * targets * log_probability).sum()
        residual = weights[:, None] * (np.exp(log_probability) * targets.sum(1, keepdims=True) - targets)
        penalized = flat[: ends[-1]]
        gradient = np.concatenate(
            [(transposed @ residual).ravel(), (vectors.T @ residual).ravel(), residual.sum(axis=0)]
        )
        gradient *= strength * scale
        gradient[: ends[-1]] += penalized * scale
        return float((strength * loss + 0.5 * penalized @ penalized) * scale), gradient

    start = np.zeros(int(ends[-1]) + n_labels)
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"maxiter": max_iterations, "gtol": 1e-6, "ftol": 1e-9}
    )
    return unpack(found.x)


def fold_of(n: int, *, folds: int, seed: int) -> NDArray[np.int64]:
    """Return a fold for each of `n` rows: sizes differ by one at most, shuffled by the seed."""
    return np.random.default_rng(seed).permutation(np.arange(n) % folds)


def fit_mean(words: Any, vectors: Floats, *, recipes: Sequence[Recipe], **fit: Any) -> tuple[list[Weights], Weights]:
    """Return the model of every recipe and their mean, which is a linear model too, so that none has to be chosen.

    Vector weights of a recipe without vectors are 0. `fit` is passed to `fit_softmax`.
    """
    each = []
    for with_vectors, strength in recipes:
        given = vectors if with_vectors else vectors[:, :0]
        first, second, bias = fit_softmax(words, given, strength=strength, **fit)
        each.append((first, second if with_vectors else np.zeros((vectors.shape[1], len(bias))), bias))
    first, second, bias = (np.mean(part, axis=0) for part in zip(*each, strict=True))
    return each, (first, second, bias)


def out_of_fold_logits(
    words: Any, vectors: Floats, *, targets: Floats, weights: Floats, folds: int, seed: int, **fit: Any
) -> Floats:
    """Return logits of every row from models that did not see it, shape (n, labels), for the trees to learn from.

    Logits of rows that a model was fitted on are too confident. `fit` is passed to `fit_mean`.
    """
    fold = fold_of(len(targets), folds=folds, seed=seed)
    out = np.empty_like(targets)
    with advancing("linear models, out of fold", total=folds) as advance:
        for held_out in range(folds):
            inside, outside = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
            _, (first, second, bias) = fit_mean(
                words[inside], vectors[inside], targets=targets[inside], weights=weights[inside], **fit
            )
            out[outside] = words[outside] @ first + vectors[outside] @ second + bias
            advance(1)
    return out
