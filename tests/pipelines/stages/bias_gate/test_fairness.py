"""Parity by AIF360: equal to the closed forms, and to published values on Adult and German Credit."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.stages.bias_gate.fairness import error_gaps, parity, reweighing_factors
from pipelines.stages.bias_gate.measure import Rows, compare_errors
from pipelines.stages.bias_gate.reweighing import fit_weights
from pipelines.stats.fairness import equal_opportunity


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
@pytest.mark.slow
def test_aif360_and_the_closed_forms_agree(seed):
    generator = np.random.default_rng(seed)
    n = 300
    gold, codes = generator.integers(0, 3, n), generator.integers(-1, 3, n)
    group = generator.integers(-1, 2, n).astype(np.int8)
    found = compare_errors(Rows(codes, gold, group), n_labels=3, confidence=0.95, min_class_rows=5)
    both = (codes >= 0) & (group >= 0)
    closed = equal_opportunity(gold[both], codes[both], group=group[both], n_labels=3, confidence=0.95)
    assert found.opportunity.value == pytest.approx(closed.value, abs=1e-9)
    assert found.odds.interval[0] <= found.odds.value + 1e-9 and found.odds.value <= found.odds.interval[1] + 1e-9
    assert found.odds.value >= abs(found.opportunity.value) - 1e-9
    flipped = error_gaps(gold == 1, codes == 1, group=1 - np.abs(group))
    assert flipped.true_positive == pytest.approx(-error_gaps(gold == 1, codes == 1, group=np.abs(group)).true_positive)


def test_nothing_of_aif360s_import_reaches_the_log(caplog):
    before = logging.root.manager.disable
    parity(np.array([1, 0, 1]), group=np.array([1, 0, 0]))
    assert not caplog.records
    assert logging.root.manager.disable == before


@pytest.fixture(scope="module")
def adult(real_data):
    folder = real_data / "fairness"
    shape = {"header": None, "skipinitialspace": True, "na_values": "?"}
    frames = [
        pd.read_csv(folder / "adult.data.gz", **shape),
        pd.read_csv(folder / "adult.test.gz", skiprows=1, **shape),
    ]
    complete = pd.concat(frames).dropna()
    assert len(complete) == 45_222
    return complete


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("column", "privileged", "difference", "impact"),
    [(9, "Male", -0.198901, 0.363470), (8, "White", -0.103959, 0.603769)],
)
def test_adult_is_the_reference_and_fair_after_reweighing(adult, column, privileged, difference, impact):
    favor = adult[14].str.contains(">50K").to_numpy(dtype=bool)
    group = (adult[column] != privileged).to_numpy(dtype=np.int8)
    found = parity(favor, group=group)
    assert found.difference == pytest.approx(difference, abs=5e-7)
    assert found.impact == pytest.approx(impact, abs=5e-7)
    groups = pd.DataFrame({"group": group})
    weights = fit_weights(favor.astype(int), groups=groups, names=["<=50K", ">50K"]).of(
        favor.astype(int), groups=groups
    )
    assert parity(favor, group=group, weights=weights).difference == pytest.approx(0, abs=1e-9)
    factors = reweighing_factors(favor, group=group)
    assert np.allclose(weights, [factors[int(g), int(y)] for g, y in zip(group, favor)])


@pytest.mark.realdata
def test_german_is_the_reference(real_data):
    german = pd.read_csv(real_data / "fairness" / "german.csv")
    found = parity((german["credit"] == 1).to_numpy(), group=(german["age"] <= 25).to_numpy(dtype=np.int8))
    assert found.difference == pytest.approx(-0.149448, abs=5e-7)
    assert found.impact == pytest.approx(0.794826, abs=5e-7)
