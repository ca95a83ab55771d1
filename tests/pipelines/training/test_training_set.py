"""What the candidates are trained on."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.runtime.errors import InputError
from pipelines.training.training_set import TrainingSet, class_weights, scarce_labels, training_set

LABELS = ("a", "b")


def assembled(weak_labels, *, soft=False, balanced=False, sources="functions", features=None):
    records = pd.DataFrame(
        {
            "id": list("123456"),
            "text": "x",
            "part": ["train"] * 4 + ["validation", "recent"],
            "gold": ["a", None, None, None, "b", "a"],
            **(features or {}),
        }
    )
    labeled = pd.DataFrame({"id": list("123456"), "training_label": [*weak_labels, None, None]})
    labeled["label_source"] = sources
    labeled["soft_a"], labeled["soft_b"] = 0.75, 0.25
    weights = pd.DataFrame({"id": list("1234"), "weight": [1.0, 2.0, 1.0, 1.0]})
    return training_set(records, labeled=labeled, weights=weights, labels=LABELS, soft=soft, balanced=balanced)


def test_only_labeled_train_rows_are_trained_on_and_only_gold_validation_rows_are_seen():
    data = assembled(["a", "b", None, "b"])
    assert data.train["id"].tolist() == ["1", "2", "4"]
    assert data.validation["id"].tolist() == ["5"]
    assert data.gold.tolist() == [1]
    assert data.weights.mean() == pytest.approx(1.0)
    assert data.weights[1] == pytest.approx(2 * data.weights[0])


def test_soft_targets_are_the_label_models():
    np.testing.assert_allclose(assembled(["a", "b", None, "b"], soft=True).targets, [[0.75, 0.25]] * 3)


def test_a_gold_label_has_all_the_probability():
    data = assembled(["a", "b", None, "b"], soft=True, sources=["gold", "functions", None, "gold", None, None])
    np.testing.assert_allclose(data.targets, [[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]])


def test_balanced_classes_weigh_the_same():
    data = assembled(["a", "b", "b", "b"], balanced=True)
    assert data.weights[0] == pytest.approx(data.weights[1:].sum())


def test_one_class_is_refused():
    with pytest.raises(InputError, match="all 4 training rows have the label 'a'"):
        assembled(["a"] * 4)


def test_no_rows_are_refused():
    with pytest.raises(InputError, match="no training rows"):
        assembled([None] * 4)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_class_weights_give_every_present_class_the_same_total(codes):
    factor = class_weights(np.eye(4)[codes], np.ones(len(codes)))
    totals = np.bincount(codes, weights=factor, minlength=4)
    present = totals[totals > 0]
    np.testing.assert_allclose(present, len(codes) / len(present))


def test_features_may_be_named_like_the_columns_of_a_stage():
    data = assembled(["a", "b", None, "b"], soft=True, features={"soft_a": 9.0, "weight": 9.0, "label_source": "x"})
    np.testing.assert_allclose(data.targets, [[0.75, 0.25]] * 3)
    assert data.weights[1] == pytest.approx(2 * data.weights[0])
    assert data.train["soft_a"].tolist() == [9.0] * 3


def test_labels_with_few_rows_are_counted_by_their_share():
    targets = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [1.0, 0.0, 0.0]])
    data = TrainingSet(pd.DataFrame(), targets, np.ones(3), pd.DataFrame(), np.array([], dtype=np.int64))
    assert scarce_labels(data, labels=("a", "b", "c"), min_rows=2) == {"b": 0.3, "c": 0.0}
