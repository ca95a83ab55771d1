"""The reference row: a few lines of scikit-learn on the labels that the candidates were trained on.

It is not a candidate: it is never released. It shows what the candidates add to what a team has without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipelines.records.schema import Feature
from pipelines.stages.evaluate.choice import points
from pipelines.stages.evaluate.predictions import answers_of
from pipelines.stages.evaluate.scores import Answers, rounded
from pipelines.stats.comparison import Resampling, macro_f1, macro_f1_score
from pipelines.training.absence import has_text

if TYPE_CHECKING:
    from pipelines.training.training_set import TrainingSet

STRENGTHS = (0.5, 2.0, 8.0)  # C of the logistic regression; the best on gold validation rows is kept
WORDS, FEATURES = "TF-IDF + logistic regression", "features + logistic regression"


@dataclass(frozen=True)
class Reference:
    """The answers of the reference on each test set, what it reads, and its C."""

    name: str
    strength: float
    answers: dict[str, Answers]


def fit_reference(
    data: TrainingSet, tests: Mapping[str, pd.DataFrame], *, labels: Sequence[str], features: Sequence[Feature]
) -> Reference:
    """Fit the reference on the training rows and predict the test sets.

    It reads the words (1 and 2 in a row) where there is any text, else the features; classes are balanced. C is the one
    of `STRENGTHS` with the best macro-F1 on gold validation rows, the middle one without such rows.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = has_text(data.train)
    codes = data.targets.argmax(axis=1)

    def fitted(strength: float) -> Any:
        head = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000, tol=1e-3)
        return make_pipeline(_words() if texts else _columns(features), head).fit(data.train, codes)

    def scores(model: Any, rows: pd.DataFrame) -> np.ndarray:
        wide = np.zeros((len(rows), len(labels)))
        if len(rows):
            wide[:, model[-1].classes_] = model.predict_proba(rows)
        return wide

    strength, best = STRENGTHS[len(STRENGTHS) // 2], None
    if len(data.gold):
        models = {c: fitted(c) for c in STRENGTHS}
        strength = max(STRENGTHS, key=lambda c: macro_f1_score(data.gold, scores(models[c], data.validation)))
        best = models[strength]
    model = best or fitted(strength)
    answers = {part: answers_of(rows, scores(model, rows), labels=labels, given=labels) for part, rows in tests.items()}
    return Reference(WORDS if texts else FEATURES, strength, answers)


def compare_with_reference(
    reference: Reference,
    chosen: Answers,
    *,
    candidate: str,
    resamplings: Mapping[str, Resampling],
    confidence: float,
) -> dict[str, Any]:
    """Return the reference's scores, the chosen candidate's lead on `recent`, and the lead in one sentence.

    `lead` is "proven", "unproven" or "negative": the interval of the difference in macro-F1 is above 0, it contains 0
    (or is undefined), or the difference itself is below 0. `resamplings` are those of `measure`, by test set.
    """
    found: dict[str, Any] = {"name": reference.name, "strength": reference.strength}
    for part, answers in reference.answers.items():
        estimate = resamplings[part].estimate(answers.class_sums, macro_f1, confidence=confidence)
        found[part] = {
            "rows": len(answers.gold),
            "macro_f1": rounded(estimate.value),
            "macro_f1_lower": rounded(estimate.lower),
            "macro_f1_upper": rounded(estimate.upper),
            "accuracy": rounded(float(answers.right.mean()) if len(answers.gold) else None),
        }
    if not chosen.usable:
        return found | {"difference": None, "lead": "unproven", "sentence": "The candidate has no usable predictions."}
    lead = resamplings["recent"].paired_difference(
        chosen.class_sums, reference.answers["recent"].class_sums, macro_f1, confidence=confidence
    )
    kind = "negative" if lead.value < 0 else "proven" if lead.lower > 0 else "unproven"
    interval = f"{2 * confidence - 1:.0%} interval {points(lead.lower)} to {points(lead.upper)}"
    amount = f"{points(lead.value)} points of macro-F1 on the rolling test set ({interval})"
    words = {
        "proven": f"The {candidate} adds {amount} to {reference.name} on the same labels.",
        "unproven": f"The {candidate} is not shown to be better than {reference.name} on the same labels: {amount}.",
        "negative": f"The {candidate} is worse than {reference.name} on the same labels: {amount}.",
    }
    difference = {name: rounded(getattr(lead, name)) for name in ("value", "lower", "upper", "confidence")}
    return found | {"difference": difference, "lead": kind, "sentence": words[kind]}


def _words() -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import TfidfVectorizer

    return make_column_transformer(
        (TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=30_000), "text")
    )


def _columns(features: Sequence[Feature]) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    categories = [item.name for item in features if item.kind == "category"]
    numbers = [item.name for item in features if item.kind == "number"]
    as_text = FunctionTransformer(lambda frame: frame.astype("object").fillna("").astype(str))
    as_number = FunctionTransformer(lambda frame: frame.astype("float64"))
    filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return make_column_transformer(
        (make_pipeline(as_text, OneHotEncoder(handle_unknown="ignore", max_categories=200)), categories),
        (make_pipeline(as_number, filled, StandardScaler()), numbers),
    )
