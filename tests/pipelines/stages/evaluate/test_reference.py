"""The reference: what it reads, how C is chosen, and what the candidate's lead is called."""

import numpy as np
import pytest

from pipelines.records.schema import Feature
from pipelines.stages.evaluate.reference import FEATURES, WORDS, Reference, compare_with_reference, fit_reference
from pipelines.stats.comparison import Resampling
from pipelines.training.training_set import TrainingSet
from tests.factories.shop import LABELS, PARAMS, answers, gold

FEATURE_LIST = (Feature("channel", kind="category"), Feature("amount", kind="number"))


def rows(n, *, seed, text=True):
    frame = gold(n, seed=seed)
    draw = np.random.default_rng(seed)
    if text:
        return frame.assign(text=[f"about {label} {draw.integers(9)}" for label in frame["gold"]])
    amount = frame["gold"].map({"refund": 1.0, "delivery": 5.0, "praise": 9.0}) + draw.normal(0, 0.1, n)
    return frame.assign(text="", amount=amount.mask(draw.random(n) < 0.1))


def data_of(train, validation):
    codes = np.array([LABELS.index(label) for label in train["gold"]])
    known = np.array([LABELS.index(label) for label in validation["gold"]], dtype=np.int64)
    return TrainingSet(train, np.eye(3)[codes], np.ones(len(train)), validation, known)


def compared(reference, chosen, tests):
    redraws = {part: Resampling.of(np.arange(len(frame)), resamples=200, seed=1) for part, frame in tests.items()}
    return compare_with_reference(
        reference, chosen, candidate="baseline", resamplings=redraws, confidence=PARAMS.confidence
    )


@pytest.mark.parametrize(("text", "name"), [(True, WORDS), (False, FEATURES)])
@pytest.mark.parametrize("validation_rows", [60, 0])
def test_it_reads_words_where_there_are_any_and_else_the_features(text, name, validation_rows):
    data = data_of(rows(150, seed=1, text=text), rows(60, seed=2, text=text).head(validation_rows))
    found = fit_reference(data, {"recent": rows(80, seed=3, text=text)}, labels=LABELS, features=FEATURE_LIST)
    assert found.name == name
    assert found.answers["recent"].right.mean() > (0.99 if text else 0.8)


def test_a_class_without_training_rows_and_an_empty_test_set_have_probabilities_too():
    train = rows(150, seed=1)
    data = data_of(train[train["gold"] != "praise"], rows(60, seed=2))
    tests = {"recent": rows(80, seed=3), "anchor": rows(5, seed=4).head(0)}
    found = fit_reference(data, tests, labels=LABELS, features=FEATURE_LIST)
    assert (found.answers["recent"].probabilities[:, LABELS.index("praise")] == 0).all()
    assert found.answers["anchor"].probabilities.shape == (0, 3)


@pytest.mark.parametrize(("right", "lead"), [(0.6, "proven"), (0.86, "unproven"), (0.99, "negative")])
def test_the_lead_is_named_after_its_interval(right, lead):
    tests = {"recent": gold(400), "anchor": gold(400, seed=5)}
    reference = Reference(WORDS, 2.0, {part: answers(frame, right=right, seed=7) for part, frame in tests.items()})
    chosen = answers(tests["recent"], right=0.85, seed=8)
    found = compared(reference, chosen, tests)
    assert found["lead"] == lead
    difference = found["difference"]
    assert difference["lower"] <= difference["value"] <= difference["upper"]
    assert found["recent"]["rows"] == 400


def test_no_usable_predictions_prove_nothing():
    tests = {"recent": gold(50)}
    broken = answers(tests["recent"], right=0.9, seed=1)
    broken.probabilities[0, 0] = np.nan
    reference = Reference(WORDS, 2.0, {"recent": answers(tests["recent"], right=0.5, seed=2)})
    found = compared(reference, broken, tests)
    assert (found["difference"], found["lead"]) == (None, "unproven")
