"""Concept drift on late labels, and the feedback loop."""

import numpy as np
import pandas as pd
import pytest

from pipelines.live.drift.concept import against_previous, against_release, join_labels, selection_of
from pipelines.monitoring.feedback import feedback_check, self_labeled
from pipelines.profile.performance import Performance

RELEASE = Performance(rows=1000, right=850, log_loss=0.4, log_loss_sd=0.5)
RULES = {"confidence": 0.99, "min_rows": 100}


def answers(n, right, *, prefix="r"):
    return pd.DataFrame(
        {"record_id": [f"{prefix}{i}" for i in range(n)], "right": np.arange(n) < right, "confidence": 0.8}
    )


@pytest.mark.parametrize(
    "n, right, outcome", [(500, 425, "steady"), (500, 300, "worse"), (500, 490, "steady"), (50, 10, "undecided")]
)
def test_accuracy_against_the_releases(n, right, outcome):
    found = against_release(answers(n, right), release=RELEASE, margin=0.03, **RULES)
    assert found["outcome"] == outcome and found["accuracy"] == right / n
    low, high = found["accuracy_interval"]
    assert low < found["accuracy_change"] < high and found["log_loss_interval"][0] < found["log_loss_change"]


def test_without_a_release_figure_nothing_is_known():
    assert against_release(answers(500, 1), release=None, margin=0.03, **RULES)["outcome"] == "undecided"


def test_the_previous_champion_is_compared_on_the_same_records():
    champion, previous = answers(400, 250), answers(400, 340)
    found = against_previous(champion, previous, **RULES)
    assert found["outcome"] == "worse" and found["only_previous_right"] == 90 and found["accuracy_interval"][1] < 0
    assert against_previous(champion, answers(400, 340, prefix="other"), **RULES)["outcome"] == "undecided"
    assert against_previous(champion, champion, **RULES)["outcome"] == "steady"
    assert against_previous(previous, champion, **RULES)["outcome"] == "steady"


def test_labels_of_unknown_records_are_counted_and_left_out():
    asked = pd.DataFrame(
        {
            "record_id": ["a", "b", "b"],
            "model_version": [3, 3, 2],
            "label": ["x", "x", "y"],
            "confidence": [0.9, 0.8, 0.7],
        }
    )
    labels = pd.DataFrame(
        {"record_id": ["a", "b", "b", "z"], "label": ["x", "x", "y", "x"], "labeled_at": pd.to_datetime([1, 1, 2, 1])}
    )
    own, unknown = join_labels(asked, labels, model_version=3)
    assert unknown == 1 and own["right"].tolist() == [True, False]
    assert join_labels(asked.iloc[:0], labels, model_version=3)[1] == 3
    assert join_labels(asked, labels.iloc[:0], model_version=3)[0].empty


@pytest.mark.parametrize(("wrong", "right", "depends"), [(0.5, 0.02, True), (0.2, 0.2, False)])
def test_labels_that_depend_on_the_answer_are_found(wrong, right, depends):
    generator = np.random.default_rng(1)
    sure = generator.beta(5, 1, 4000)
    hit = generator.random(4000) < sure
    asked = pd.DataFrame({"record_id": [f"r{i}" for i in range(4000)], "model_version": 3, "confidence": sure})
    asked["label"] = np.where(hit, "x", "y")
    asked["received_at"] = pd.Timestamp("2026-02-01", tz="UTC") + pd.to_timedelta(np.arange(4000) % 20, unit="D")
    labeled = generator.random(4000) < np.where(hit, right, wrong)
    labels = asked.loc[labeled, ["record_id"]].assign(label="x", obtained="random_audit")
    labels["labeled_at"] = pd.Timestamp("2026-02-22", tz="UTC")
    assert selection_of(asked, labels, versions={"champion": 3})["depends"] is depends
    assert join_labels(asked, labels.assign(obtained="complaint"), model_version=3)[0].empty


TRAINING = pd.DataFrame({"id": ["a", "b", "c", "d"], "label": ["x", "y", "x", "y"]})
ASKED = pd.DataFrame({"record_id": ["a", "b", "c"], "label": ["x", "x", "x"], "served_at": pd.to_datetime([1, 1, 9])})
LABELS = pd.DataFrame({"record_id": ["a", "b", "c"], "label": ["x", "y", "x"], "labeled_at": pd.to_datetime([5, 5, 5])})


def test_labels_that_repeat_the_models_answer_count_as_its_own():
    own = self_labeled(TRAINING, ASKED, LABELS)
    assert own.tolist() == [True, False, False, False]  # b differs, c was answered after its label, d has none


def test_a_stated_source_wins():
    own = self_labeled(TRAINING, ASKED, LABELS.assign(source=["person", "model", "person"]))
    assert own.tolist() == [False, True, False, False]


@pytest.mark.parametrize("share, outcome", [(0.1, "passed"), (0.3, "failed"), (1.0, "failed")])
def test_the_share_is_capped(share, outcome):
    own = pd.Series(np.arange(100) < 100 * share)
    assert feedback_check(own, max_share=0.2, known=True).outcome == outcome


def test_no_training_rows_decide_nothing():
    assert feedback_check(pd.Series([], dtype=bool), max_share=0.2, known=True).outcome != "passed"
