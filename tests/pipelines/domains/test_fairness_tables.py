"""Known disparities of UCI Adult and German credit close the gates, in the labels before training and in the answers."""

from pathlib import Path

import pandas as pd
import pytest

from pipelines.stats.fairness import Count, difference, disparate_impact, group_codes
from tests.factories.sentences import problems
from tests.factories.tables import Table

pytestmark = [pytest.mark.realdata, pytest.mark.slow]


@pytest.fixture(scope="module")
def adult(real_data: Path) -> Table:
    return Table.of("adult", real_data / "fairness")


@pytest.fixture(scope="module")
def german(real_data: Path) -> Table:
    return Table.of("german", real_data / "fairness")


def counts(table: Table, attribute: str, rows: pd.DataFrame) -> tuple[Count, Count]:
    favorable = rows["gold"].isin(table.domain.schema.favorable_labels).to_numpy(bool)
    codes = group_codes(rows[attribute])
    member, rest = (Count(int(favorable[codes == value].sum()), int((codes == value).sum())) for value in (1, 0))
    return member, rest


def test_records_hold_the_published_disparities(adult, german):
    complete = adult.records.dropna(subset=["workclass", "occupation"])
    assert len(adult.records) == 48_842
    for attribute, gap, ratio in (("female", -0.198, 0.365), ("nonwhite", -0.104, 0.604)):
        pair = counts(adult, attribute, complete)
        assert difference(*pair, confidence=0.95).value == pytest.approx(gap, abs=0.005)
        assert disparate_impact(*pair, confidence=0.95).value == pytest.approx(ratio, abs=0.01)
    pair = counts(german, "young", german.records)
    assert difference(*pair, confidence=0.95).value == pytest.approx(-0.149448, abs=5e-7)
    assert disparate_impact(*pair, confidence=0.95).value == pytest.approx(0.794826, abs=5e-7)


def test_labels_of_adult_close_the_bias_gate_for_sex_and_race(adult):
    found, checks = adult.bias()
    impact = checks["label_impact:female"]
    assert (impact.outcome, impact.details["group"]) == ("failed", "women")
    assert "studied_and_married" in impact.details["labeling_functions"]
    assert checks["label_impact:nonwhite"].outcome == "failed"
    assert checks["label_impact:nonwhite"].details["group"] == "people of color"
    assert {record["group"] for record in found.shown} <= {"women", "men", "people of color", "white people"}
    assert not [problem for check in checks.values() for problem in problems(check)]


def test_reweighing_opens_what_is_about_training_rows_of_adult_and_no_error_of_the_functions(adult):
    found, checks = adult.bias(mitigation="reweighing")
    for attribute in ("female", "nonwhite"):
        rows = found.metrics["mitigation"]["attributes"][attribute]["train"]
        assert rows["before"]["value"] > 0.08 and rows["after"]["value"] < 1e-6
        assert checks[f"weighted_parity:{attribute}"].outcome == "passed"
    assert "label_impact:female" not in checks
    still = {name for name, check in checks.items() if check.outcome == "failed"}
    assert still == {"equal_opportunity:female"}, "weights of rows do not change what the functions get wrong"


def test_answers_about_adult_are_gated_after_training_and_weights_alone_do_not_open_them(adult):
    plain = adult.answers()["female_favorable_impact"]
    assert (plain.outcome, plain.closes) == ("failed", True) and plain.interval[1] < 0.5
    weights = adult.bias(mitigation="reweighing")[0].weights
    weighted = adult.answers(weights)["female_favorable_impact"]
    assert weighted.value > plain.value
    assert weighted.outcome == "failed"


def test_the_young_of_german_credit_are_too_few_for_the_default_limit_and_close_a_stricter_one(german):
    _, checks = german.bias()
    impact = checks["label_impact:young"]
    assert impact.outcome == "passed" and impact.interval[0] < 0.8 < impact.value, "131 rows do not show harm"
    strict = german.bias(min_disparate_impact=0.97)[1]["label_impact:young"]
    assert (strict.outcome, strict.details["group"]) == ("failed", "people up to 25")
    undecided = german.bias(min_group_rows=500)[1]["label_impact:young"]
    assert (undecided.outcome, undecided.closes) == ("undecided", True)
    answers = german.answers()["young_favorable_impact"]
    assert (answers.outcome, answers.closes) == ("undecided", True), "50 young people in the rolling test set"
    assert not [problem for check in checks.values() for problem in problems(check)]
