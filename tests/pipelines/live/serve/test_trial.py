"""An evaluation of the canary: the right records are paired, and the alias moves by the result of the test."""

import shutil
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.live.release import moves
from pipelines.live.serve import trial
from pipelines.live.serve.metrics import Metrics
from pipelines.monitoring import predictions

TODAY = date(2026, 3, 1)


class FakeRegistry:
    def __init__(self, **aliases):
        self.aliases = aliases

    def alias(self, name):
        return self.aliases.get(name)


@pytest.fixture
def moved(monkeypatch):
    calls = []

    def record(what):
        def move(registry, *, version, reason):
            calls.append((what, version, reason))
            return {"action": what}

        return move

    monkeypatch.setattr(moves, "complete_canary", record("complete"))
    monkeypatch.setattr(moves, "stop_canary", record("stop"))
    return calls


def write(live, schema, *, right_old, right_new, labels=("mortgage", "card")):
    """Write the answers of both versions to the same records, the challenger's share by role, and their labels."""
    n = len(right_old)
    received = pd.date_range("2026-02-01", periods=n, freq="min", tz="UTC")
    for version, right in ((1, right_old), (2, right_new)):
        canary = np.arange(n) % 14 == 0
        roles = np.where(canary, "shadow", "champion") if version == 1 else np.where(canary, "canary", "shadow")
        frame = pd.DataFrame(
            {
                "schema_version": 1,
                "request_id": [f"q{version}-{i}" for i in range(n)],
                "record_id": [f"r{i}" for i in range(n)],
                "received_at": received,
                "served_at": received,
                "model_version": version,
                "role": roles,
                "label": np.where(right, labels[0], labels[1]),
                "confidence": 0.8,
                "text_length": 5,
                **{feature.name: None for feature in schema.features},
            }
        )
        predictions.add_predictions(live, predictions.as_predictions(frame, schema=schema))
    labels_frame = pd.DataFrame({"record_id": [f"r{i}" for i in range(n)], "label": labels[0]})
    labels_frame["labeled_at"] = pd.date_range("2026-02-10", periods=n, freq="min", tz="UTC")
    predictions.add_labels(live, labels_frame)


def answers(n, share, seed):
    return np.random.default_rng(seed).random(n) < share


def test_a_worse_challenger_is_stopped(tmp_path, complaints, serve_params, moved):
    write(tmp_path, complaints.schema, right_old=answers(1200, 0.85, 1), right_new=answers(1200, 0.70, 2))
    result = trial.evaluate_canary(
        FakeRegistry(champion=1, challenger=2), live=tmp_path, params=serve_params.canary, today=TODAY
    )
    assert result["state"] == "stopped"
    ((what, version, reason),) = moved
    assert (what, version) == ("stop", 2)
    assert "worse" in reason


def test_an_equal_challenger_completes(tmp_path, complaints, serve_params, moved):
    write(tmp_path, complaints.schema, right_old=answers(1200, 0.85, 3), right_new=answers(1200, 0.85, 4))
    result = trial.evaluate_canary(
        FakeRegistry(champion=1, challenger=2), live=tmp_path, params=serve_params.canary, today=TODAY
    )
    assert result["state"] == "completed"
    assert result["pairs"] <= 1000
    ((what, _, reason),) = moved
    low, high = result["interval"]
    assert what == "complete" and low < result["mean_difference"] < high
    assert f"{result['mean_difference']:+.3f} [{low:+.3f}, {high:+.3f}]" in reason and "is not worse" not in reason


def test_labels_that_depend_on_the_answers_decide_nothing(tmp_path, complaints, serve_params, moved):
    right_old, right_new = answers(6000, 0.85, 5), answers(6000, 0.75, 6)
    write(tmp_path, complaints.schema, right_old=right_old, right_new=right_new)
    labels = predictions.read_labels(tmp_path, start=TODAY - timedelta(days=60), end=TODAY)
    shutil.rmtree(tmp_path / "labels")
    wrong = ~right_old[labels["record_id"].str[1:].astype(int)]
    chosen = np.random.default_rng(7).random(6000) < np.where(wrong, 1.0, 0.04)  # 25 times likelier
    predictions.add_labels(tmp_path, labels[chosen])
    registry = FakeRegistry(champion=1, challenger=2)
    result = trial.evaluate_canary(registry, live=tmp_path, params=serve_params.canary, today=TODAY)
    assert result["state"] == "running" and not moved and result["pairs"] > 100
    assert "depends on the answers" in result["selection"]


@pytest.mark.parametrize("obtained", ["complaint", "correction", "review_queue"])
def test_only_labels_of_a_known_sampling_count(tmp_path, complaints, serve_params, moved, obtained):
    write(tmp_path, complaints.schema, right_old=answers(1200, 0.85, 1), right_new=answers(1200, 0.70, 2))
    labels = predictions.read_labels(tmp_path, start=TODAY - timedelta(days=60), end=TODAY)
    shutil.rmtree(tmp_path / "labels")
    predictions.add_labels(tmp_path, labels.assign(obtained=obtained))
    registry = FakeRegistry(champion=1, challenger=2)
    result = trial.evaluate_canary(registry, live=tmp_path, params=serve_params.canary, today=TODAY)
    assert (result["state"], result["pairs"]) == ("running", 0) and not moved


def test_a_record_that_is_labeled_twice_counts_once_with_its_latest_label(tmp_path, complaints):
    write(tmp_path, complaints.schema, right_old=np.array([True, False]), right_new=np.array([True, True]))
    again = pd.DataFrame({"record_id": ["r0"], "label": ["card"], "obtained": ["correction"]})
    predictions.add_labels(tmp_path, again.assign(labeled_at=pd.Timestamp("2026-02-20", tz="UTC")))
    pairs = trial.paired(tmp_path, champion=1, challenger=2, days=90, today=TODAY)
    assert pairs["right_old"].tolist() == [False, False] and pairs["right_new"].tolist() == [False, True]


def test_too_few_labels_decide_nothing(tmp_path, complaints, serve_params, moved):
    write(tmp_path, complaints.schema, right_old=answers(100, 0.85, 3), right_new=answers(100, 0.85, 4))
    result = trial.evaluate_canary(
        FakeRegistry(champion=1, challenger=2), live=tmp_path, params=serve_params.canary, today=TODAY
    )
    assert (result["state"], result["pairs"]) == ("running", 100)
    assert not moved


def test_a_trial_without_a_result_ends_when_its_first_answers_are_out_of_view(
    tmp_path, complaints, serve_params, moved
):
    write(tmp_path, complaints.schema, right_old=answers(100, 0.85, 3), right_new=answers(100, 0.85, 4))
    trialed = FakeRegistry(champion=1, challenger=2)
    first = date(2026, 2, 1)  # the day of the challenger's answers
    in_view, beyond = first + timedelta(days=90), first + timedelta(days=91)
    assert (
        trial.evaluate_canary(trialed, live=tmp_path, params=serve_params.canary, today=in_view)["state"] == "running"
    )
    assert not moved
    assert trial.evaluate_canary(trialed, live=tmp_path, params=serve_params.canary, today=beyond)["state"] == "stopped"
    ((what, version, reason),) = moved
    assert (what, version) == ("stop", 2)
    assert "90 days (serve.canary.days)" in reason and "0 of 1000" in reason


@pytest.mark.parametrize("aliases", [{}, {"champion": 1}, {"champion": 1, "challenger": 1}, {"challenger": 2}])
def test_without_a_challenger_there_is_nothing_to_evaluate(tmp_path, serve_params, aliases):
    assert (
        trial.evaluate_canary(FakeRegistry(**aliases), live=tmp_path, params=serve_params.canary, today=TODAY)["state"]
        == "none"
    )


def test_labels_of_unknown_ids_and_answers_without_labels_are_left_out(tmp_path, complaints, serve_params):
    write(tmp_path, complaints.schema, right_old=answers(50, 0.9, 1), right_new=answers(50, 0.9, 2))
    stranger = pd.DataFrame({"record_id": ["nobody"], "label": ["card"]})
    stranger["labeled_at"] = pd.Timestamp("2026-02-12", tz="UTC")
    predictions.add_labels(tmp_path, stranger)
    pairs = trial.paired(tmp_path, champion=1, challenger=2, days=90, today=TODAY)
    assert len(pairs) == 50
    assert trial.paired(tmp_path, champion=1, challenger=7, days=90, today=TODAY).empty


def test_pairs_are_in_the_order_in_which_their_labels_arrived(tmp_path, complaints):
    write(tmp_path, complaints.schema, right_old=np.array([True, False, True]), right_new=np.array([True, True, False]))
    pairs = trial.paired(tmp_path, champion=1, challenger=2, days=90, today=TODAY)
    assert pairs["right_old"].tolist() == [True, False, True]
    assert pairs["right_new"].tolist() == [True, True, False]


@pytest.mark.parametrize("fault", ["fails", "slow"])
def test_a_challenger_that_fails_or_is_slow_is_stopped_without_any_label(tmp_path, serve_params, moved, fault):
    metrics = Metrics()
    for _ in range(100):
        metrics.called(1, records=1, seconds=0.01)
        metrics.called(2, records=1, seconds=0.1 if fault == "slow" else 0.01)
    if fault == "fails":
        for _ in range(10):
            metrics.failed(2)
    result = trial.evaluate_canary(
        FakeRegistry(champion=1, challenger=2), live=tmp_path, params=serve_params.canary, today=TODAY, metrics=metrics
    )
    assert result["state"] == "stopped"
    assert ("failed" if fault == "fails" else "ms per record") in moved[0][2]


def test_few_calls_are_no_fault(serve_params):
    metrics = Metrics()
    metrics.failed(2)
    assert trial.fault_of(metrics, champion=1, challenger=2, params=serve_params.canary) is None
