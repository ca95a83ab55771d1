"""The bias gate closes on evidence of harm, names the harmed group and the cause, and opens when it is fixed."""

import numpy as np
import pandas as pd
import pytest

from pipelines.runtime.errors import InputError
from tests.factories.letters import LABELS, check_named, letters, letters_schema, measured


def test_fair_labels_open_the_gate():
    bias, verdict = measured(*letters())
    assert verdict.passed, [item.describe() for item in verdict.closed_by]
    assert bias.shown == []
    names = {item.name for item in verdict.checks}
    assert names == {
        f"{measure}:veteran"
        for measure in ("coverage", "labeled_right", "equal_opportunity", "equalized_odds", "survival")
    }
    assert (bias.weights["weight"] == 1.0).all()


def test_a_function_that_leaves_a_group_without_labels_closes_and_is_named():
    records, matrix = letters()
    veteran = (records["veteran"] == 1).to_numpy()
    matrix[veteran, 1] = -1  # finds_grant does not know their words
    matrix[veteran, 3] = -1
    bias, verdict = measured(records, matrix)
    assert not verdict.passed
    found = check_named(verdict, "coverage:veteran")
    assert found.outcome == "failed"
    assert found.details["attribute"] == "veteran"
    assert found.details["group"] == "veterans"
    assert found.details["labeling_functions"][0] == "finds_grant"
    assert "harmed: veterans; caused by labeling functions finds_grant" in found.sentence
    assert len(bias.shown) == 3
    assert {record["group"] for record in bias.shown} == {"veterans"}
    ids = {record["id"] for record in bias.shown}
    assert records.loc[records["id"].isin(ids), "veteran"].eq(1).all()


def test_a_function_that_labels_a_group_wrongly_closes_and_is_named_and_opens_when_fixed():
    records, matrix = letters()
    veteran = (records["veteran"] == 1).to_numpy()
    gold = pd.Categorical(records["gold"].astype(object), categories=list(LABELS)).codes
    biased = matrix.copy()
    wrong = veteran & (gold == 0)
    biased[wrong, 2] = 2  # finds_ask and finds_all take their refusals for questions; finds_refuse does as ever
    biased[wrong, 3] = 2
    bias, verdict = measured(records, biased)
    closed = {item.name for item in verdict.closed_by}
    assert {"labeled_right:veteran", "equal_opportunity:veteran", "equalized_odds:veteran"} <= closed
    for name in closed:
        assert set(check_named(verdict, name).details["labeling_functions"]) <= {"finds_ask", "finds_all"}
    assert check_named(verdict, "equal_opportunity:veteran").details["labeling_functions"]
    assert all(record["votes"].get("finds_ask") == "ask" for record in bias.shown)
    assert all(record["gold"] == "refuse" for record in bias.shown)
    assert measured(records, matrix)[1].passed


def test_rows_lost_upstream_by_one_group_close_it():
    records, matrix = letters()
    survived = ~((records["veteran"] == 1) & (np.arange(len(records)) % 2 == 0)).to_numpy()
    _, verdict = measured(records, matrix, survived=survived)
    assert check_named(verdict, "survival:veteran").outcome == "failed"


def test_harm_to_the_rest_closes_it_too():
    records, matrix = letters()
    matrix[(records["veteran"] == 0).to_numpy() & (np.arange(len(records)) % 2 == 0)] = -1
    _, verdict = measured(records, matrix)
    assert check_named(verdict, "coverage:veteran").details["group"] == "civilians"


def test_a_group_of_three_rows_is_undecided_with_a_sentence_and_closes():
    records, matrix = letters()
    records["veteran"] = pd.array([1] * 3 + [0] * (len(records) - 3), dtype="Int8")
    _, verdict = measured(records, matrix)
    found = check_named(verdict, "coverage:veteran")
    assert found.outcome == "undecided"
    assert found.rows == 3
    assert not verdict.passed
    _, reported = measured(records, matrix, undecided_passes={"veteran": "only three veterans wrote"})
    check = check_named(reported, "coverage:veteran")
    assert (check.outcome, check.closes) == ("undecided", False)
    assert check.details["reason"] == "only three veterans wrote"


def test_an_interval_that_holds_the_limit_does_not_close_a_large_group():
    records, matrix = letters(600, share=0.2)
    veteran = np.flatnonzero((records["veteran"] == 1).to_numpy())
    matrix[veteran[: int(len(veteran) * 0.19)]] = -1
    _, verdict = measured(records, matrix)
    found = check_named(verdict, "coverage:veteran")
    assert found.interval[0] < 0.8 < found.interval[1]
    assert found.outcome == "passed"


@pytest.mark.parametrize("gone", ["gold", "labels"])
def test_an_undefined_metric_closes_even_where_an_unknown_group_does_not(gone):
    records, matrix = letters()
    if gone == "gold":
        records["gold"] = pd.array([None] * len(records), dtype="string")
    if gone == "labels":
        matrix[:] = -1
    _, verdict = measured(records, matrix, undecided_passes={"veteran": "only three veterans wrote"})
    assert not verdict.passed
    assert any(item.value is None for item in verdict.closed_by)


@pytest.mark.parametrize("code", [0, None])
@pytest.mark.parametrize("reason", [None, "the form has not asked since 2022"])
def test_an_unknown_group_is_undecided_and_closes_unless_the_domain_gives_a_reason(code, reason):
    records, matrix = letters()
    records["veteran"] = pd.array([code] * len(records), dtype="Int8")
    _, verdict = measured(records, matrix, undecided_passes={"veteran": reason} if reason else {})
    assert {item.outcome for item in verdict.checks} == {"undecided"}
    assert verdict.passed is bool(reason)


def test_the_harmed_group_is_the_one_that_the_worst_rate_is_worse_for():
    records, matrix = letters(3000)
    veteran = (records["veteran"] == 1).to_numpy()
    asked = np.flatnonzero((records["gold"] == "ask").to_numpy(dtype=bool) & ~veteran)
    matrix[asked[::3]] = [0, -1, -1, -1]  # civilians who ask are taken for refused
    granted = np.flatnonzero((records["gold"] == "grant").to_numpy(dtype=bool) & veteran)
    matrix[granted[::6]] = [-1, -1, 2, -1]
    bias, verdict = measured(records, matrix)
    odds = bias.metrics["groups"]["veteran"]["equalized_odds"]
    found = check_named(verdict, "equalized_odds:veteran")
    assert (odds["label"], odds["rate"], found.outcome) == ("ask", "tpr", "failed")
    assert found.details["group"] == "civilians"


def test_no_rows_close_it_without_a_crash():
    records, matrix = letters()
    _, verdict = measured(records.head(0), matrix[:0])
    assert not verdict.passed


def test_a_domain_without_protected_attributes_states_the_reason():
    records, matrix = letters()
    bias, verdict = measured(
        records, matrix, of=letters_schema(protected=(), no_protected_because="comments carry no person's data")
    )
    assert verdict.passed
    assert [item.name for item in verdict.checks] == ["protected_attributes"]
    assert "comments carry no person's data" in verdict.checks[0].sentence
    assert len(bias.weights) and (bias.weights["weight"] == 1.0).all()


def test_unknown_groups_are_left_out():
    records, matrix = letters()
    records.loc[:199, "veteran"] = pd.NA
    bias, verdict = measured(records, matrix)
    assert bias.metrics["groups"]["veteran"]["unknown_rows"] == 200
    assert verdict.passed


def test_a_favorable_label_gates_in_every_stratum():
    records, matrix = letters(3000)
    favorable = letters_schema(favorable_labels=("grant",), strata=("region",))
    assert measured(records, matrix, of=favorable)[1].passed
    veteran = (records["veteran"] == 1).to_numpy()
    granted = veteran & (matrix[:, 1] == 1) & (records["region"] == "north").to_numpy(dtype=bool)
    refused = np.flatnonzero(granted)[::2]
    matrix[refused] = [0, -1, -1, -1]
    records.loc[refused, "gold"] = "refuse"  # rightly labeled: not a labeling error, but not favorable either
    _, verdict = measured(records, matrix, of=favorable)
    assert check_named(verdict, "label_impact:veteran:region=north").outcome == "failed"
    assert check_named(verdict, "label_impact:veteran:region=south").outcome == "passed"


def test_a_labeling_function_that_withholds_favorable_labels_is_named_with_the_group():
    records, matrix = letters(3000)
    veteran = (records["veteran"] == 1).to_numpy()
    misled = np.flatnonzero(veteran & (matrix[:, 1] == 1))[::2]
    matrix[misled] = [0, -1, -1, -1]  # refused by its words, though gold grants it
    _, verdict = measured(records, matrix, of=letters_schema(favorable_labels=("grant",)))
    closed = check_named(verdict, "label_impact:veteran")
    assert closed.outcome == "failed" and closed.details["group"] == "veterans"
    assert "finds_refuse" in closed.details["labeling_functions"] and "finds_refuse" in closed.sentence
    assert "favorable gold label" in check_named(verdict, "equal_opportunity:veteran").sentence


def test_without_a_large_stratum_all_rows_are_compared():
    records, matrix = letters(400)
    favorable = letters_schema(favorable_labels=("grant",), strata=("size",))
    _, verdict = measured(records, matrix, of=favorable, min_group_rows=100)
    assert "label_impact:veteran" in {item.name for item in verdict.checks}


def test_another_mix_of_labels_is_no_check_without_favorable_ones():
    records, matrix = letters()
    keep = ~((records["veteran"] == 1) & (records["gold"] == "grant") & (np.arange(len(records)) % 4 > 0)).to_numpy()
    _, verdict = measured(records[keep].reset_index(drop=True), matrix[keep])
    assert verdict.passed
    assert not any(item.name.startswith("label_impact") for item in verdict.checks)


def test_parity_table_has_a_row_a_measure_and_group():
    bias, _ = measured(*letters())
    assert len(bias.parity) == 6
    assert (bias.parity["low"] <= bias.parity["rate"]).all()
    assert (bias.parity["rate"] <= bias.parity["high"]).all()


def skewed(n: int = 2000):
    """Veterans are granted half as often as civilians."""
    records, matrix = letters(n)
    drop = (records["veteran"] == 1) & (records["gold"] == "grant") & (np.arange(n) % 2 == 0)
    keep = ~drop.to_numpy(dtype=bool)
    return records[keep].reset_index(drop=True), matrix[keep]


@pytest.mark.parametrize("favorable", [(), ("grant",)])
def test_reweighing_makes_labels_independent_of_groups_and_is_checked_on_validation(favorable):
    bias, verdict = measured(*skewed(), of=letters_schema(favorable_labels=favorable), mitigation="reweighing")
    assert verdict.passed, [item.describe() for item in verdict.closed_by]
    found = bias.metrics["mitigation"]["attributes"]["veteran"]
    assert found["train"]["before"]["value"] > 0.05
    assert found["train"]["after"]["value"] == pytest.approx(0, abs=1e-8)
    assert found["validation"]["after"]["value"] > 0
    assert bias.weights["weight"].nunique() == (6 if not favorable else 4)
    names = {item.name for item in verdict.checks}
    assert {"weighted_parity:veteran", "largest_weight", "effective_sample"} <= names


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"max_weight": 1.01}, "largest_weight"), ({"min_effective_sample": 0.999}, "effective_sample")],
)
def test_weights_that_go_too_far_close_it(changes, name):
    _, verdict = measured(*skewed(), mitigation="reweighing", **changes)
    assert check_named(verdict, name).outcome == "failed"


def test_an_empty_cell_is_an_error_with_its_reason():
    records, matrix = letters()
    keep = ~((records["veteran"] == 1) & (records["gold"] == "grant")).to_numpy()
    with pytest.raises(InputError, match="no training row with veteran = 1 is labeled grant"):
        measured(records[keep].reset_index(drop=True), matrix[keep], mitigation="reweighing")
