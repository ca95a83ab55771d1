"""Whether the labeled records can stand for all answers: simulated labels that come by chance, and that do not."""

import numpy as np
import pandas as pd
import pytest

from pipelines.live.serve.params import CanaryParams
from pipelines.live.serve.trial import compare_losses, pairs_of, selection_of
from pipelines.monitoring.sampling import MIN_SHARE, count_obtained, facts_of, find_selection

CANARY = CanaryParams(share=0.07, pairs_wanted=1000, max_error_share=0.02, max_slowdown=3, days=90)
LABELS = np.array(["card", "loan", "debt"])


def answered(seed, *, worse_by=0.0, rows=6000, days=30, chance=None, complete=True):
    """Return rows of `trial.answered_by_both`: two calibrated models, and labels with these chances if the champion is
    right and wrong.
    """
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 3, rows)
    sure = generator.beta(5.1, 0.9, rows)
    answers, right = {}, {}
    for side, loss in (("old", 0.0), ("new", worse_by)):
        right[side] = generator.random(rows) < np.clip(sure - loss, 0.01, 0.99)
        answers[f"label_{side}"] = LABELS[np.where(right[side], gold, (gold + generator.integers(1, 3, rows)) % 3)]
        answers[f"confidence_{side}"] = np.clip(sure - loss, 0.01, 0.99)
    right_chance, wrong_chance = chance or (1.0, 1.0)
    labeled = generator.random(rows) < np.where(right["old"], right_chance, wrong_chance)
    received = pd.Timestamp("2026-02-01", tz="UTC") + pd.to_timedelta(np.sort(generator.random(rows)) * days, unit="D")
    frame = pd.DataFrame({"record_id": [f"r{i}" for i in range(rows)], "received_at": received, **answers})
    delay = pd.to_timedelta(generator.exponential(3.0, rows), unit="D")
    frame["sampled_at"] = pd.Series(received + delay).where(labeled)
    frame["complete"] = labeled & complete
    frame["label"] = pd.Series(LABELS[gold]).where(labeled)
    return frame.assign(served_new=generator.random(rows) < 0.07)


def outcome(frame):
    """Return what a canary does on these records, evaluated often at first and less often later."""
    order = frame["sampled_at"].sort_values().dropna()
    for at in order.iloc[[*(n for n in (59, 89, 139, 219, 349, 699) if n < len(order)), -1]]:
        seen = frame[frame["received_at"] <= at]
        seen = seen.assign(sampled_at=seen["sampled_at"].where(seen["sampled_at"] <= at))
        seen = seen.assign(complete=seen["complete"] & seen["sampled_at"].notna())
        result = compare_losses(pairs_of(seen), params=CANARY)
        if result.state != "running" and not selection_of(seen)["depends"]:
            return result.state
    return "running"


@pytest.mark.slow
@pytest.mark.parametrize("complete", [True, False])
def test_where_labels_come_for_wrong_answers_no_worse_challenger_is_promoted_and_no_better_one_stopped(complete):
    selective = {"chance": (0.02, 0.5), "complete": complete, "rows": 12_000}
    worse = [outcome(answered(seed, worse_by=0.10, **selective)) for seed in range(30)]
    assert worse.count("completed") == 0
    better = [outcome(answered(seed, worse_by=-0.02, **selective)) for seed in range(12)]
    assert better.count("stopped") == 0


@pytest.mark.slow
def test_a_random_audit_keeps_the_power_of_the_canary():
    audit = {"chance": (0.25, 0.25), "complete": False}
    everything = [outcome(answered(seed, worse_by=0.06, rows=1500)) for seed in range(40)]
    audited = [outcome(answered(seed, worse_by=0.06, rows=6000, **audit)) for seed in range(40)]
    assert everything.count("stopped") >= 30 and audited.count("stopped") >= 30


@pytest.mark.slow
@pytest.mark.parametrize("chance", [0.02, 0.1, 0.5])
def test_labels_that_come_by_chance_are_seldom_taken_for_a_selection(chance):
    found = [
        selection_of(answered(seed, worse_by=0.03, chance=(chance, chance), complete=False, rows=4000))["depends"]
        for seed in range(100)
    ]
    assert sum(found) <= 2  # the level is a thousandth


@pytest.mark.parametrize(("right", "wrong"), [(0.02, 0.5), (0.1, 0.3), (0.5, 0.05)])
def test_labels_that_depend_on_the_answer_are_found(right, wrong):
    found = selection_of(answered(3, chance=(right, wrong), complete=False))
    assert found["depends"] and found["found"] and "random_audit" in found["why"]


def test_delays_and_days_without_labels_are_no_selection():
    frame = answered(4)
    late = frame["sampled_at"].where(frame["sampled_at"] < pd.Timestamp("2026-02-20", tz="UTC"))
    frame = frame.assign(sampled_at=late, complete=late.notna())
    assert not selection_of(frame)["depends"]
    assert not selection_of(frame.iloc[:0])["depends"]


def test_labels_of_all_records_that_are_of_a_few_are_found_without_any_other_fact():
    frame = answered(5, chance=(0.1, 0.1))
    frame = frame.assign(confidence_old=0.8, label_old="card")
    answers = {"champion": frame[["label_old", "confidence_old"]].set_axis(["label", "confidence"], axis=1)}
    found = find_selection(frame, facts_of(answers))
    assert found["depends"] and "all_records" in found["why"] and found["found"] == []
    assert not find_selection(frame.assign(complete=False), facts_of(answers))["depends"]
    most = answered(6, chance=(MIN_SHARE + 0.1, MIN_SHARE + 0.1))
    assert not find_selection(most, {})["depends"]


def test_the_labels_are_counted_by_how_they_were_obtained():
    labels = pd.DataFrame({"record_id": list("abc"), "obtained": ["complaint", None, "complaint"]})
    assert count_obtained(labels) == {"all_records": 1, "complaint": 2}
    assert count_obtained(labels[["record_id"]]) == {"all_records": 3} and count_obtained(labels.iloc[:0]) == {}
