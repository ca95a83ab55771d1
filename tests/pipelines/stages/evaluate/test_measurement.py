"""Scores, slices, fairness, the choice and the checks of evaluate, on made-up answers whose quality is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.gates.verdict import Verdict
from pipelines.records.schema import ProtectedAttribute
from pipelines.runtime.errors import InputError
from pipelines.stages.evaluate.checks import fairness_checks
from pipelines.stages.evaluate.choice import choose
from pipelines.stages.evaluate.fairness import measure_fairness
from pipelines.stages.evaluate.measurement import checks_of, measure
from pipelines.stages.evaluate.predictions import answers_of, gold_rows, prediction_table
from pipelines.stages.evaluate.scores import by_class, reliability_table, score
from pipelines.stats.comparison import Resampling
from tests.factories.shop import LABELS, PARAMS, SCHEMA, answers, gold, model_probabilities

ROWS = {"recent": gold(800), "anchor": gold(600, seed=5)}


def both(baseline=0.8, finetune=0.86, rows=None):
    tests = rows or ROWS
    return {
        (name, part): answers(frame, right=right, seed=seed)
        for seed, (name, right) in enumerate({"baseline": baseline, "finetune": finetune}.items())
        for part, frame in tests.items()
    }


def measured(found=None, rows=None, params=PARAMS):
    return measure(found or both(rows=rows), rows or ROWS, schema=SCHEMA, params=params, seed=1)


def verdict(found, found_answers, *, behaviors=(), params=PARAMS):
    return Verdict.of("evaluate", checks_of(found, found_answers, behaviors, params=params))


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_every_metric_lies_in_its_range_and_its_interval(seed):
    rows = gold(200, seed=seed)
    redraw = Resampling.of(np.arange(200), resamples=200, seed=1)
    found = score(
        answers(rows, right=0.7, seed=seed),
        resampling=redraw,
        confidence=0.95,
        bins=15,
        null_simulations=50,
        seed=1,
    )
    for name in ("accuracy", "macro_f1", "lowest_recall"):
        item = found.estimates[name]
        assert 0 <= item.lower <= item.value <= item.upper <= 1
    assert sum(map(sum, found.confusion)) == 200
    assert sum(item["rows"] for item in found.classes) == 200


def test_precision_recall_and_f1_of_a_class_are_counted_by_hand():
    rows = gold(6).assign(gold=["refund", "refund", "refund", "delivery", "delivery", "praise"])
    found_answers = np.eye(3)[[0, 0, 1, 1, 0, 0]]
    classes, confusion = by_class(answers_of(rows, found_answers, labels=LABELS, given=LABELS))
    refund, _, praise = classes
    assert (refund["precision"], refund["recall"], refund["f1"]) == (0.5, pytest.approx(2 / 3), pytest.approx(4 / 7))
    assert (praise["precision"], praise["recall"], praise["f1"]) == (None, 0.0, 0.0)
    assert confusion == ((2, 1, 0), (1, 1, 0), (1, 0, 0))


def test_the_fine_tuned_model_that_wins_goes_on():
    found = measured(both(baseline=0.7, finetune=0.85))
    assert found.choice.candidate == "finetune"
    assert found.choice.difference.lower > 0


@pytest.mark.parametrize("finetune", [0.8, 0.6])
def test_the_fine_tuned_model_that_does_not_win_leaves_the_baseline(finetune):
    found = measured(both(baseline=0.8, finetune=finetune))
    assert found.choice.candidate == "baseline"


def test_a_lead_below_the_margin_is_no_win():
    found_answers = both(baseline=0.7, finetune=0.85)
    assert measured(found_answers, params=PARAMS.model_copy(update={"margin": 0.3})).choice.candidate == "baseline"


def test_of_equal_candidates_the_fine_tuned_one_seldom_wins():
    wins = 0
    for seed in range(40):
        rows = gold(300, seed=seed)
        one, other = (answers(rows, right=0.8, seed=100 * k + seed) for k in (1, 2))
        redraw = Resampling.of(np.arange(300) % 40, resamples=200, seed=1)
        wins += choose(one, other, resampling=redraw, confidence=0.95, margin=0.0).candidate == "finetune"
    assert wins <= 6


def test_a_good_candidate_opens_the_gate():
    found_answers = both()
    found = verdict(measured(found_answers), found_answers)
    assert found.passed, [check.describe() for check in found.closed_by]


def test_permuted_labels_close_it():
    permuted = {
        part: rows.assign(gold=rows["gold"].sample(frac=1, random_state=3).to_numpy()) for part, rows in ROWS.items()
    }
    found_answers = {
        (name, part): answers_of(
            permuted[part], model_probabilities(ROWS[part], right=0.9), labels=LABELS, given=LABELS
        )
        for name in ("baseline", "finetune")
        for part in ROWS
    }
    closed = {check.name for check in verdict(measured(found_answers, rows=permuted), found_answers).closed_by}
    assert {"recent_macro_f1_above_prior", "recent_accuracy", "recent_macro_f1"} <= closed


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"min_scores": {"macro_f1": 0.95}}, "recent_macro_f1"),
        ({"min_scores": {"lowest_recall": 0.99}}, "recent_lowest_recall"),
        ({"max_losses": {"log_loss": 0.01}}, "recent_log_loss"),
        ({"max_losses": {"brier": 0.01}}, "recent_brier"),
        ({"min_lift": 0.9}, "recent_macro_f1_above_prior"),
        ({"min_rows": 5000}, "recent_rows"),
    ],
)
def test_a_floor_that_is_not_reached_closes_it(changes, name):
    found_answers, params = both(), PARAMS.model_copy(update=changes)
    assert name in {
        check.name for check in verdict(measured(found_answers, params=params), found_answers, params=params).closed_by
    }


def test_a_floor_that_only_holds_by_chance_stays_closed():
    found_answers, params = both(), PARAMS.model_copy(update={"min_scores": {"macro_f1": 0.845}})
    found = verdict(measured(found_answers, params=params), found_answers, params=params)
    outcome = next(check for check in found.checks if check.name == "recent_macro_f1")
    assert outcome.outcome == "undecided"
    assert not found.passed


def test_a_group_that_is_answered_wrongly_closes_it():
    def unfair(part):
        rows = ROWS[part]
        right = np.where(rows["senior"] == 1, 0.55, 0.92)
        return answers(rows, right=right, seed=3)

    found_answers = {(name, part): unfair(part) for name in ("baseline", "finetune") for part in ROWS}
    found = measured(found_answers)
    closed = {check.name for check in verdict(found, found_answers).closed_by}
    assert {"senior_disparate_impact", "senior_equal_opportunity"} <= closed
    rates = {row["group"]: row["value"] for row in found.groups}
    assert rates["seniors"] < 0.65 < rates["others"]


@pytest.mark.parametrize(("column", "value"), [("channel", "phone"), ("senior", 1)])
def test_a_slice_far_below_the_whole_closes_it(column, value):
    def harmed(part, right):
        rows = ROWS[part]
        return answers(rows, right=np.where(rows[column] == value, right, 0.97), seed=3)

    found_answers = {(name, part): harmed(part, 0.1) for name in ("baseline", "finetune") for part in ROWS}
    found = measured(found_answers)
    assert "slices_far_below" in {check.name for check in verdict(found, found_answers).closed_by}
    assert found.far_below == [f"{column} = {'seniors' if value == 1 else value}"]
    mild = {(name, part): harmed(part, 0.85) for name in ("baseline", "finetune") for part in ROWS}
    assert measured(mild).far_below == []


def test_a_class_answered_unlike_in_two_groups_closes_it_by_equalized_odds():
    def unlike(part):
        rows = ROWS[part]
        seniors_refund = (rows["senior"] == 1) & (rows["gold"] == "refund")
        return answers(rows, right=np.where(seniors_refund, 0.4, 0.93), seed=3)

    found_answers = {(name, part): unlike(part) for name in ("baseline", "finetune") for part in ROWS}
    assert "senior_equalized_odds" in {
        check.name for check in verdict(measured(found_answers), found_answers).closed_by
    }


def test_a_group_too_small_to_see_is_undecided_and_closes_it():
    rows = {
        part: frame.assign(senior=pd.Series([1] * 10 + [0] * (len(frame) - 10), dtype="Int8"))
        for part, frame in ROWS.items()
    }
    found_answers = both(rows=rows)
    found = verdict(measured(found_answers, rows=rows), found_answers)
    outcomes = {check.name: check.outcome for check in found.checks if check.name.startswith("senior")}
    assert set(outcomes.values()) == {"undecided"}
    assert {check.name for check in found.closed_by} == set(outcomes)


@pytest.mark.parametrize("rows", [0, 1])
def test_an_empty_test_set_or_one_row_closes_it_without_an_error(rows):
    tests = {"recent": ROWS["recent"].iloc[:rows], "anchor": ROWS["anchor"].iloc[:0]}
    found_answers = both(rows=tests)
    closed = {check.name for check in verdict(measured(found_answers, rows=tests), found_answers).closed_by}
    assert {"recent_rows", "recent_classes"} <= closed


def test_one_class_in_the_test_set_closes_it():
    tests = {part: rows.assign(gold="refund") for part, rows in ROWS.items()}
    found_answers = both(rows=tests)
    assert "recent_classes" in {
        check.name for check in verdict(measured(found_answers, rows=tests), found_answers).closed_by
    }


def test_an_answer_that_is_no_number_closes_it():
    found_answers = both()
    for part in ROWS:
        broken = model_probabilities(ROWS[part], right=0.9)
        broken[3, 1] = np.nan
        for name in ("baseline", "finetune"):
            found_answers[name, part] = answers_of(ROWS[part], broken, labels=LABELS, given=LABELS)
    found = measured(found_answers)
    closed = {check.name for check in verdict(found, found_answers).closed_by}
    assert {"undefined_answers", "recent_macro_f1"} <= closed
    assert found.as_metrics()["baseline"]["recent"]["macro_f1"] is None


def test_a_broken_fine_tuned_model_leaves_the_baseline():
    found_answers = both(finetune=0.95)
    found_answers["finetune", "recent"] = answers_of(
        ROWS["recent"], np.full((800, 3), np.nan), labels=LABELS, given=LABELS
    )
    found = measured(found_answers)
    assert found.choice.candidate == "baseline"
    assert verdict(found, found_answers).passed


def test_a_failing_behavior_closes_it():
    item = {"name": "case", "kind": "invariance", "sentence": "shouting changes nothing", "cases": 10, "failures": []}
    found_answers = both()
    found = measured(found_answers)
    assert verdict(found, found_answers, behaviors=[item | {"pass_rate": 0.9, "at_least": 0.9}]).passed
    for rate in (0.8, None):
        closed = verdict(found, found_answers, behaviors=[item | {"pass_rate": rate, "at_least": 0.9}]).closed_by
        assert [check.name for check in closed] == ["behavior_case"]


def test_slices_and_reliability_come_as_tables():
    found = measured()
    table = found.slice_table()
    assert set(table["candidate"]) == {"baseline", "finetune"}
    assert {"senior", "channel", "text length", "month", "gold label"} <= set(table["slice"])
    assert (table["lower"] <= table["accuracy"]).all()
    bars = reliability_table(found.scores)
    assert bars.groupby(["candidate", "part"])["rows"].sum().tolist() == [600, 800, 600, 800]


def test_the_same_measurement_twice_gives_the_same_numbers():
    assert measured().as_metrics() == measured().as_metrics()


def test_only_gold_rows_of_the_part_are_tested_on():
    rows = gold(4).assign(part=["recent", "recent", "anchor", "train"])
    rows.loc[1, "gold"] = None
    assert gold_rows(rows, part="recent")["id"].tolist() == ["r0"]


def test_probabilities_are_put_in_the_order_of_the_domain():
    rows = gold(2)
    found = answers_of(rows, np.array([[0.1, 0.7, 0.2]] * 2), labels=LABELS, given=("praise", "refund", "delivery"))
    assert found.probabilities[0].tolist() == [0.7, 0.2, 0.1]
    table = prediction_table(rows, found, part="recent", candidate="baseline")
    assert list(table) == ["id", "part", "candidate", "label", "confidence", "p_refund", "p_delivery", "p_praise"]
    assert table["label"].tolist() == ["refund", "refund"]


@pytest.mark.parametrize("given", [("refund", "praise"), ("refund", "delivery", "legal")])
def test_a_model_with_other_labels_is_refused(given):
    with pytest.raises(InputError, match=r"the domain's labels are refund, delivery, praise: train it again"):
        answers_of(gold(2), np.ones((2, len(given))), labels=LABELS, given=given)


def test_probabilities_of_a_wrong_shape_are_refused():
    with pytest.raises(InputError, match=r"expected \(2, 3\)"):
        answers_of(gold(2), np.ones((3, 3)), labels=LABELS, given=LABELS)


# ---- favorable labels

FAVORABLE = replace(SCHEMA, favorable_labels=("refund",), strata=("channel",))


def answers_with(rows, chosen):
    """Answers that are these labels, as good as sure."""
    out = np.full((len(rows), len(LABELS)), 0.01)
    out[np.arange(len(rows)), [LABELS.index(label) for label in chosen]] = 0.98
    return answers_of(rows, out, labels=LABELS, given=LABELS)


def favorable_checks(rows, chosen, *, schema=FAVORABLE):
    limits = PARAMS.fairness
    tests = {"recent": (answers_with(rows, chosen), rows)}
    found = measure_fairness(tests, schema=schema, confidence=0.9, limits=limits)
    checks = fairness_checks(found, min_group_rows=limits.min_group_rows)
    return {check.name.removeprefix("senior_"): check for check in checks}


def fairness_of(tests, *, schema=SCHEMA, limits=PARAMS.fairness):
    found = measure_fairness(tests, schema=schema, confidence=0.9, limits=limits)
    return {check.name: check for check in fairness_checks(found, min_group_rows=limits.min_group_rows)}


def test_a_group_that_is_unknown_in_the_rolling_test_set_is_compared_on_both():
    recent, anchor = (ROWS[part].copy() for part in ("recent", "anchor"))
    recent["senior"] = pd.array([None] * len(recent), dtype="Int8")
    wrong = anchor["gold"].where(anchor["senior"] == 0, anchor["gold"].shift(1).fillna("refund"))
    tests = {"recent": (answers_with(recent, recent["gold"]), recent), "anchor": (answers_with(anchor, wrong), anchor)}
    check = fairness_of(tests)["senior_disparate_impact"]
    assert check.outcome == "failed"
    assert "both test sets" in check.sentence
    assert check.rows == int((anchor["senior"] == 1).sum())


@pytest.mark.parametrize("reason", [None, "the form does not ask for an age"])
def test_a_group_that_is_unknown_everywhere_is_undecided_and_closes_unless_the_domain_gives_a_reason(reason):
    tests = {}
    for part, rows in ROWS.items():
        unknown = rows.assign(senior=pd.array([None] * len(rows), dtype="Int8"))
        tests[part] = (answers_with(unknown, unknown["gold"]), unknown)
    limits = PARAMS.fairness.model_copy(update={"undecided_passes": {"senior": reason} if reason else {}})
    checks = fairness_of(tests, limits=limits)
    assert {check.outcome for check in checks.values()} == {"undecided"}
    assert {check.closes for check in checks.values()} == {reason is None}
    assert not any("nan" in check.sentence for check in checks.values())


@pytest.mark.parametrize("reason", [None, "seniors write by letter, a handful per year"])
def test_a_group_that_is_too_small_closes_unless_the_domain_gives_a_reason(reason):
    few = np.r_[np.ones(10), np.zeros(len(ROWS["recent"]) - 10)]
    rows = ROWS["recent"].assign(senior=pd.array(few.astype(int), dtype="Int8"))
    limits = PARAMS.fairness.model_copy(update={"undecided_passes": {"senior": reason} if reason else {}})
    check = fairness_of({"recent": (answers_with(rows, rows["gold"]), rows)}, limits=limits)["senior_disparate_impact"]
    assert (check.outcome, check.closes) == ("undecided", reason is None)


def test_an_outcome_that_never_occurs_is_not_harm_and_does_not_close():
    rows = ROWS["recent"]
    never = rows["gold"].replace({"refund": "delivery"})
    checks = favorable_checks(rows, never)
    for name, check in checks.items():
        if name.startswith("favorable_impact"):
            assert (check.outcome, check.value, check.closes) == ("undecided", None, False)
            assert "no difference can be measured" in check.sentence


def test_pairs_of_attributes_are_measured_and_close_on_evidence():
    schema = replace(
        SCHEMA, protected=(*SCHEMA.protected, ProtectedAttribute("veteran", member="veterans", rest="civilians"))
    )
    draw = np.random.default_rng(3)
    rows = ROWS["recent"].assign(veteran=pd.array((draw.random(800) < 0.5).astype(int), dtype="Int8"))
    cell = ((rows["senior"] == 1) & (rows["veteran"] == 1)).to_numpy()
    wrong = rows["gold"].where(~cell | (draw.random(800) < 0.5), rows["gold"].shift(1).fillna("refund"))
    checks = fairness_of({"recent": (answers_with(rows, wrong), rows)}, schema=schema)
    assert checks["senior=1+veteran=1_disparate_impact"].outcome == "failed"
    lonely = rows.assign(veteran=pd.array([1] * 5 + [0] * 795, dtype="Int8"))
    listed = fairness_of({"recent": (answers_with(lonely, lonely["gold"]), lonely)}, schema=schema)
    check = listed["senior=1+veteran=1_disparate_impact"]
    assert (check.outcome, check.closes) == ("undecided", False)


def test_favorable_labels_at_equal_rates_pass():
    checks = favorable_checks(ROWS["recent"], ROWS["recent"]["gold"])
    assert {"favorable_impact:channel=phone", "favorable_impact:channel=web"} < set(checks)
    assert {check.outcome for check in checks.values()} == {"passed"}


def test_favorable_labels_withheld_from_a_group_close_their_stratum_although_every_prediction_is_correct():
    rows = ROWS["recent"].copy()
    held = np.flatnonzero((rows["senior"] == 1) & (rows["channel"] == "web") & (rows["gold"] == "refund"))[::2]
    rows.iloc[held, rows.columns.get_loc("gold")] = "delivery"
    checks = favorable_checks(rows, rows["gold"])
    assert [name for name, check in checks.items() if check.closes] == ["favorable_impact:channel=web"]
    assert "seniors" in checks["favorable_impact:channel=web"].sentence
    assert not any(name.startswith("favorable_impact") for name in favorable_checks(rows, rows["gold"], schema=SCHEMA))


def test_errors_are_those_of_favorable_labels():
    rows = ROWS["recent"]
    swapped = rows["gold"].where(
        rows["senior"] == 0, rows["gold"].replace({"delivery": "praise", "praise": "delivery"})
    )
    checks = favorable_checks(rows, swapped)
    assert checks["equal_opportunity"].outcome == checks["equalized_odds"].outcome == "passed"
    assert checks["disparate_impact"].outcome == "failed", "seniors are answered right less often all the same"


def test_favorable_labels_withheld_where_values_are_rare_close_too():
    channel = np.where(np.arange(len(ROWS["recent"])) % 2, "web", [f"c{i % 40}" for i in range(len(ROWS["recent"]))])
    rows = ROWS["recent"].assign(channel=pd.array(channel, dtype="string"))
    held = np.flatnonzero((rows["senior"] == 1) & (rows["channel"] != "web") & (rows["gold"] == "refund"))[::2]
    rows.iloc[held, rows.columns.get_loc("gold")] = "delivery"
    checks = favorable_checks(rows, rows["gold"])
    assert [name for name, check in checks.items() if check.closes] == ["favorable_impact:channel=any other"]


def test_without_a_large_stratum_all_rows_are_compared():
    rows = ROWS["recent"].assign(channel=[f"c{i % 40}" for i in range(len(ROWS["recent"]))])
    assert "favorable_impact" in favorable_checks(rows, rows["gold"])
