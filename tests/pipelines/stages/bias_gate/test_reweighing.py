"""Reweighing follows the published formula, and several attributes settle together."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.stages.bias_gate.fairness import aif360_quietly, parity
from pipelines.stages.bias_gate.reweighing import effective_share, fit_weights
from tests.factories.letters import LABELS

cells = st.lists(st.integers(1, 30), min_size=6, max_size=6)


@settings(deadline=None, max_examples=25)
@given(cells, cells)
@pytest.mark.slow
def test_reweighing_is_the_formula_and_two_attributes_settle_together(sizes, others):
    with aif360_quietly():
        import aif360.metrics  # noqa: F401
    group = np.repeat([0, 0, 0, 1, 1, 1], sizes)
    outcome = np.repeat([0, 1, 2, 0, 1, 2], sizes)
    weights = fit_weights(outcome, groups=pd.DataFrame({"g": group}), names=LABELS).of(
        outcome, groups=pd.DataFrame({"g": group})
    )
    n = len(group)
    formula = [
        (group == g).sum() * (outcome == y).sum() / (n * ((group == g) & (outcome == y)).sum())
        for g, y in zip(group, outcome)
    ]
    assert np.allclose(weights, formula)
    assert weights.sum() == pytest.approx(n)
    assert 0 < effective_share(weights) <= 1 + 1e-12
    both = pd.DataFrame({"g": np.tile(group, 2), "h": np.repeat([0, 1], n)})
    twice = np.tile(outcome, 2)
    together = fit_weights(twice, groups=both, names=LABELS).of(twice, groups=both)
    for attribute in ("g", "h"):
        for label in range(3):
            gap = parity(twice == label, group=both[attribute].to_numpy(), weights=together).difference
            assert gap == pytest.approx(0, abs=1e-8)
