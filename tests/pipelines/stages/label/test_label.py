"""Votes become labels; kappa, coverage and every class decide whether they may be trained on."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.gates.verdict import Verdict
from pipelines.records.labeling import pattern, vote_matrix
from pipelines.records.majority import break_ties, majority_probabilities, majority_vote, vote_shares
from pipelines.stages.label.measure import check_labels, gold_codes, labeled_rows, metrics_of
from pipelines.stages.label.params import LabelParams
from pipelines.stages.label.quality import cohen_kappa, summarize_functions
from pipelines.stages.label.queue import queue_for_people
from pipelines.stages.label.voting import Labeling, choose_labeling

LABELS = ("no", "yes", "maybe")
matrices = st.integers(1, 6).flatmap(
    lambda m: st.lists(st.lists(st.integers(-1, 2), min_size=m, max_size=m), min_size=1, max_size=12)
)


def params(**changes) -> LabelParams:
    values = {
        "measured_parts": ["train", "validation"],
        "chosen_on": ["validation"],
        "ties": "abstain",
        "confidence": 0.95,
        "label_model": {"enabled": True, "epochs": 50, "learning_rate": 0.01, "min_rows": 50, "resamples": 200},
        "min_kappa": 0.7,
        "min_kappa_rows": 50,
        "min_coverage": 0.6,
        "min_coverage_rows": 50,
        "min_class_coverage": 0.3,
        "min_class_gold_rows": 20,
        "min_class_rows": 5,
        "queue_rows": 10,
        "max_queue_margin": 0.3,
    }
    return LabelParams.model_validate({**values, **changes})


def sample(n: int = 400, *, accuracy: float = 0.95, coverage: float = 0.95, n_functions: int = 4, seed: int = 0):
    """Records with gold and functions that are right as often as asked, independently."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 3, n)
    matrix = np.where(generator.random((n, n_functions)) < accuracy, gold[:, None], (gold[:, None] + 1) % 3)
    matrix[generator.random(n) > coverage] = -1
    records = pd.DataFrame(
        {
            "id": [f"r{i:04d}" for i in range(n)],
            "text": [f"text {i}" for i in range(n)],
            "entity": pd.array([None] * n, dtype="string"),
            "received_at": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(range(n), unit="h"),
            "gold": pd.array([LABELS[g] for g in gold], dtype="string"),
            "part": np.where(np.arange(n) < n * 0.6, "train", np.where(np.arange(n) < n * 0.9, "validation", "recent")),
            "member": pd.array(generator.integers(0, 2, n), dtype="Int8"),
        }
    )
    return records, matrix.astype(np.int16)


def choose(records, matrix, **changes) -> Labeling:
    chosen = params(**changes)
    return choose_labeling(
        matrix,
        records=records,
        gold=gold_codes(records, labels=LABELS, parts=chosen.chosen_on),
        chosen_on=chosen.chosen_on,
        n_labels=3,
        ties=chosen.ties,
        confidence=chosen.confidence,
        seed=7,
        **chosen.label_model.model_dump(),
    )


def gate(records, matrix, *, lost: int = 0, **changes) -> Verdict:
    chosen = params(**changes)
    labeling = choose(records, matrix, label_model={**chosen.label_model.model_dump(), "enabled": False})
    gold = gold_codes(records, labels=LABELS, parts=chosen.measured_parts)
    rows = labeled_rows(labeling, records=records, matrix=matrix, labels=LABELS, train_on=chosen.train_on)
    checks = check_labels(labeling, records=records, written=rows.iloc[lost:], gold=gold, labels=LABELS, params=chosen)
    return Verdict.of("label", checks)


def outcome(verdict: Verdict, name: str) -> str:
    return next(check.outcome for check in verdict.checks if check.name == name)


def sentence(verdict: Verdict, name: str) -> str:
    return next(check.sentence for check in verdict.checks if check.name == name)


# ---- voting


@pytest.fixture(scope="module")
def snorkel():
    """Snorkel, whose imports warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import snorkel.labeling.model
        import snorkel.utils

        return snorkel


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=matrices)
def test_majority_vote_is_snorkels(snorkel, rows):
    MajorityLabelVoter, probs_to_preds = snorkel.labeling.model.MajorityLabelVoter, snorkel.utils.probs_to_preds
    matrix = np.array(rows)
    theirs = MajorityLabelVoter(cardinality=3).predict_proba(matrix)
    ours = majority_probabilities(matrix, n_labels=3)
    assert np.allclose(ours, theirs)
    for ties in ("abstain", "random"):
        assert (break_ties(ours, ties=ties) == probs_to_preds(theirs, tie_break_policy=ties)).all()


@given(matrices)
def test_rows_without_a_vote_have_no_label_and_no_soft_label(rows):
    matrix = np.array(rows)
    voted = (matrix != -1).any(axis=1)
    assert (majority_vote(matrix, n_labels=3, ties="random")[~voted] == -1).all()
    soft = vote_shares(matrix, n_labels=3)
    assert np.isnan(soft[~voted]).all()
    assert np.allclose(soft[voted].sum(axis=1), 1)


@pytest.mark.slow
def test_the_label_model_is_used_only_where_it_beats_majority_vote():
    records, matrix = sample(600, accuracy=0.95)
    good = choose(records, matrix)
    assert good.method == "majority_vote"
    assert "does not beat" in good.reason
    # one good function among many that guess: the label model finds out which, majority vote cannot
    generator = np.random.default_rng(1)
    records, _ = sample(2000)
    gold = gold_codes(records, labels=LABELS, parts=["train", "validation", "recent"])
    right = np.array([[0.9, 0.85, 0.85, 0.15, 0.15, 0.15, 0.15, 0.15]])
    noise = generator.integers(0, 3, (2000, 8))
    matrix = np.where(generator.random((2000, 8)) < right, gold[:, None], noise).astype(np.int16)
    enough = {"enabled": True, "epochs": 500, "learning_rate": 0.01, "min_rows": 50, "resamples": 500}
    better = choose(records, matrix, label_model=enough)
    again = choose(records, matrix, label_model=enough)
    assert better.method == "label_model", better.reason
    assert better.comparison["interval"][0] > 0
    assert np.array_equal(better.soft, again.soft)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"min_rows": 10_000}, "10000 wanted: undecided, so majority vote"),
        ({"enabled": False}, "switched off"),
    ],
)
def test_the_label_model_is_not_asked_without_reason(changes, reason):
    records, matrix = sample(100)
    asked = params().label_model.model_dump() | changes
    assert reason in choose(records, matrix, label_model=asked).reason


def test_two_functions_are_too_few_for_the_label_model():
    records, matrix = sample(300, n_functions=2)
    assert "2 labeling functions vote" in choose(records, matrix).reason


# ---- kappa


def test_kappa_equals_the_textbook():
    # Fleiss, Levin and Paik (2003), table 18.1: two raters of 100 subjects, kappa 0.68, standard error 0.087
    table = np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]])
    labels = np.repeat(np.arange(3), table.sum(axis=1))
    gold = np.concatenate([np.repeat(np.arange(3), row) for row in table])
    found = cohen_kappa(labels, gold, n_labels=3, confidence=0.95)
    assert found.value == pytest.approx(0.676, abs=5e-4)
    assert (found.interval[1] - found.interval[0]) / 2 / 1.959964 == pytest.approx(0.0877, abs=5e-4)


pairs = st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), min_size=1, max_size=60)


@given(pairs)
def test_kappa_is_symmetric_within_one_and_only_of_rows_with_both(rows):
    labels, gold = (np.array(side) for side in zip(*rows))
    one = cohen_kappa(labels, gold, n_labels=3, confidence=0.95)
    other = cohen_kappa(gold, labels, n_labels=3, confidence=0.95)
    assert one.rows == int(((labels >= 0) & (gold >= 0)).sum())
    if np.isfinite(one.value):
        assert one.value == pytest.approx(other.value)
        assert -1 <= one.interval[0] <= one.value + 1e-12 and one.value - 1e-12 <= one.interval[1] <= 1
    else:
        assert not np.isfinite(other.value)


@pytest.mark.slow
def test_kappas_interval_is_the_bootstraps():
    generator = np.random.default_rng(3)
    gold = generator.integers(0, 3, 800)
    labels = np.where(generator.random(800) < 0.8, gold, generator.integers(0, 3, 800))
    found = cohen_kappa(labels, gold, n_labels=3, confidence=0.95)
    draws = []
    for _ in range(600):
        rows = generator.integers(0, 800, 800)
        draws.append(cohen_kappa(labels[rows], gold[rows], n_labels=3, confidence=0.95).value)
    assert found.interval == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.01)


# ---- the gate


def test_good_labels_open_the_gate():
    verdict = gate(*sample())
    assert verdict.passed, [check.describe() for check in verdict.closed_by]
    assert outcome(verdict, "conservation") == "passed"


def test_a_row_that_is_not_written_closes_it():
    assert [check.name for check in gate(*sample(), lost=1).closed_by] == ["conservation"]


def test_wrong_labels_close_it_by_kappa():
    verdict = gate(*sample(accuracy=0.5))
    assert outcome(verdict, "kappa") == "failed"
    assert not verdict.passed


def test_labels_on_few_rows_close_it_by_coverage():
    verdict = gate(*sample(coverage=0.3))
    assert outcome(verdict, "coverage") == "failed"
    assert "rows have a label" in sentence(verdict, "coverage")


def test_a_class_that_no_row_is_labeled_closes_it():
    records, matrix = sample()
    matrix[matrix == 2] = -1
    verdict = gate(records, matrix, train_on="weak")
    assert outcome(verdict, "train_rows:maybe") == "failed"
    assert outcome(verdict, "class_coverage:maybe") == "failed"
    assert sentence(verdict, "train_rows:maybe") == "0 training rows are labeled maybe"


def test_few_gold_rows_are_undecided():
    records, matrix = sample()
    records.loc[10:, "gold"] = None
    verdict = gate(records, matrix)
    assert outcome(verdict, "kappa") == "undecided"
    assert "only 10 gold rows" in sentence(verdict, "kappa") or "too few" in sentence(verdict, "kappa")
    assert "too few rows to tell" in sentence(verdict, "class_coverage:no")
    assert not verdict.passed


def test_no_gold_at_all_closes_with_a_sentence():
    records, matrix = sample()
    records["gold"] = pd.array([None] * len(records), dtype="string")
    verdict = gate(records, matrix)
    assert not verdict.passed
    assert "no row of train and validation has a gold label yet" in sentence(verdict, "kappa")


def test_one_class_only_closes_with_a_sentence():
    records, _ = sample()
    records["gold"] = pd.array(["yes"] * len(records), dtype="string")
    verdict = gate(records, np.ones((len(records), 3), dtype=np.int16))
    assert outcome(verdict, "kappa") == "failed"
    assert "all of one class, so kappa is undefined" in sentence(verdict, "kappa")


def test_no_votes_at_all_closes_with_a_sentence():
    records, matrix = sample()
    verdict = gate(records, np.full_like(matrix, -1))
    assert "none of the 360 gold rows" in sentence(verdict, "kappa")
    assert outcome(verdict, "coverage") == "failed"


def test_no_rows_at_all_close_it_without_a_crash():
    records, matrix = sample()
    verdict = gate(records.head(0), matrix[:0])
    assert not verdict.passed
    assert "there are no rows" in sentence(verdict, "coverage")


def test_gold_of_the_deciding_parts_is_not_looked_at():
    records, _ = sample()
    codes = gold_codes(records, labels=LABELS, parts=["train", "validation"])
    assert (codes[records["part"] == "recent"] == -1).all()
    assert (codes[records["part"] != "recent"] >= 0).all()


# ---- what is written


def test_metrics_hold_json_values_only_and_records_their_columns():
    records, matrix = sample()
    labeling = choose(records, matrix, label_model={**params().label_model.model_dump(), "enabled": False})
    gold = gold_codes(records, labels=LABELS, parts=["train", "validation"])
    written = labeled_rows(labeling, records=records, matrix=matrix, labels=LABELS, train_on="weak")
    metrics = metrics_of(labeling, matrix, gold=gold, records=records, written=written, labels=LABELS, params=params())
    json.dumps(metrics, allow_nan=False)
    assert written.columns.tolist() == [
        *("id", "weak_label", "soft_no", "soft_yes", "soft_maybe", "n_votes"),
        *("training_label", "label_source", "label_confidence"),
    ]
    none = written["n_votes"] == 0
    assert written.loc[none, "weak_label"].isna().all()
    assert written.loc[none, ["soft_no", "soft_yes", "soft_maybe"]].isna().all().all()


@pytest.mark.parametrize("train_on", ["weak", "gold_where_present", "gold_only"])
def test_training_labels_come_from_the_chosen_source_and_only_in_the_training_part(train_on):
    records, matrix = sample()
    records.loc[records.index % 3 == 0, "gold"] = None
    labeling = choose(records, matrix, label_model={**params().label_model.model_dump(), "enabled": False})
    written = labeled_rows(labeling, records=records, matrix=matrix, labels=LABELS, train_on=train_on)
    train = records["part"] == "train"
    assert written.loc[~train, ["training_label", "label_source", "label_confidence"]].isna().all().all()
    gold, weak = records["gold"].astype("string"), written["weak_label"]
    expected = {"weak": weak, "gold_where_present": gold.fillna(weak), "gold_only": gold}[train_on]
    pd.testing.assert_series_equal(written.loc[train, "training_label"], expected[train], check_names=False)
    from_gold = written["label_source"] == "gold"
    assert (written.loc[from_gold.fillna(False), "label_confidence"] == 1.0).all()
    expected_gold = 0 if train_on == "weak" else int((gold.notna() & train).sum())
    gold_of = gold_codes(records, labels=LABELS, parts=["train", "validation"])
    how = {"gold": gold_of, "records": records, "labels": LABELS, "params": params(train_on=train_on)}
    found = metrics_of(labeling, matrix, written=written, **how)
    assert found["train_rows_by_source"]["gold"] == expected_gold == int(from_gold.sum())
    weak_only = labeled_rows(labeling, records=records, matrix=matrix, labels=LABELS, train_on="weak")
    assert found["kappa"] == metrics_of(labeling, matrix, written=weak_only, **how)["kappa"], (
        "kappa is about the functions' labels, whatever trains"
    )


@pytest.mark.filterwarnings("ignore:Input has data type:FutureWarning")  # of scipy, about snorkel
def test_summary_counts_as_snorkel_does(snorkel):
    from snorkel.labeling import LFAnalysis

    records, matrix = sample(200, accuracy=0.8)
    matrix[::3, 0] = -1
    functions = [pattern(f"f{i}", "yes", "x", fires_on="x", abstains_on="") for i in range(4)]
    gold = gold_codes(records, labels=LABELS, parts=["train", "validation", "recent"])
    summary = summarize_functions(functions, matrix, gold=gold, groups=records[["member"]], confidence=0.95)
    theirs = LFAnalysis(L=matrix.astype(int))
    assert np.allclose(summary["coverage"], theirs.lf_coverages())
    assert np.allclose(summary["overlap"], theirs.lf_overlaps())
    assert np.allclose(summary["conflict"], theirs.lf_conflicts())
    assert np.allclose(summary["accuracy"], theirs.lf_empirical_accuracies(gold))
    member = (records["member"] == 1).to_numpy()
    assert np.allclose(summary["member_coverage_member"], (matrix[member] != -1).mean(axis=0))
    assert np.allclose(
        summary["member_coverage_difference"],
        (matrix[member] != -1).mean(axis=0) - (matrix[~member] != -1).mean(axis=0),
    )


def test_the_queue_holds_uncertain_rows_each_reason_in_turn_and_gold_last():
    records, _ = sample(40)
    matrix = np.ones((40, 3), dtype=np.int16)
    matrix[0:4] = -1  # no votes
    matrix[4:8] = [0, 1, -1]  # ties
    matrix[8:12] = [0, 1, 1]  # conflicts
    records["part"] = "train"
    records.loc[:11, "gold"] = None
    records.loc[2:11, "gold"] = records.loc[20, "gold"]
    codes = majority_vote(matrix, n_labels=3, ties="abstain")
    queue = queue_for_people(
        records,
        matrix=matrix,
        codes=codes,
        soft=vote_shares(matrix, n_labels=3),
        labels=LABELS,
        shown=["member"],
        rows=6,
        margin_below=0.3,
    )
    assert queue["reason"].tolist() == ["no_votes", "no_votes", "tie", "conflict", "no_votes", "tie"]
    assert queue["gold"].isna().tolist() == [True, True, False, False, False, False]
    assert {"id", "text", "member", "margin", "weak_label", "n_votes"} <= set(queue.columns)


# ---- real data


def wrench(name: str, real_data: Path) -> tuple[np.ndarray, np.ndarray]:
    content = json.loads((real_data / "wrench" / name / "test.json").read_text())
    rows = [content[key] for key in sorted(content, key=int)]
    return np.array([row["weak_labels"] for row in rows]), np.array([row["label"] for row in rows])


@pytest.mark.realdata
def test_majority_vote_on_wrench_youtube_is_84_00(real_data):
    matrix, gold = wrench("youtube", real_data)
    predicted = break_ties(majority_probabilities(matrix, n_labels=2), ties="random")
    assert round(100 * float((predicted == gold).mean()), 2) == 84.00


@pytest.mark.realdata
def test_majority_vote_on_wrench_sms_is_23_97(real_data):
    matrix, gold = wrench("sms", real_data)
    predicted = break_ties(majority_probabilities(matrix, n_labels=2), ties="random")
    right = int(((predicted == 1) & (gold == 1)).sum())
    f1 = 2 * right / (int((predicted == 1).sum()) + int((gold == 1).sum()))
    assert round(100 * f1, 2) == 23.97


def test_a_lone_function_is_enough_to_vote():
    records, _ = sample(10)
    assert (
        vote_matrix([pattern("one", "yes", "text", fires_on="text", abstains_on="")], records, labels=LABELS).tolist()
        == [[1]] * 10
    )
