"""What the texts reveal is measured always and closes where a limit is set."""

import numpy as np
import pandas as pd
import pytest

from pipelines.stages.bias_gate.params import BiasGateParams
from pipelines.stages.bias_gate.text_probe import probe_texts
from tests.factories.shop import SCHEMA

PARAMS = BiasGateParams(
    min_group_rows=100,
    min_class_rows=20,
    min_disparate_impact=0.8,
    max_equal_opportunity=0.1,
    max_equalized_odds=0.2,
    mitigation="none",
)


def records_of(*, share: float, known: float = 1.0, n: int = 1000) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    group = draw.integers(0, 2, n)
    words = [" ".join(f"q{chr(97 + a)}{chr(97 + b)}" for a, b in draw.integers(0, 12, (8, 2))) for _ in range(n)]
    holds = draw.random(n) < share
    texts = [
        f"{text} 34/W/{'F' if code else 'M'}" if at else text
        for text, code, at in zip(words, group, holds, strict=True)
    ]
    senior = pd.array(np.where(draw.random(n) < known, group, -1), dtype="Int8")
    senior[senior == -1] = None
    return pd.DataFrame({"id": [f"r{at}" for at in range(n)], "text": texts, "entity": None, "senior": senior})


def probed(records: pd.DataFrame, **changed):
    return probe_texts(records, schema=SCHEMA, params=PARAMS.model_copy(update=changed), seed=1)


@pytest.mark.slow
def test_it_is_reported_without_a_limit_and_closes_with_one() -> None:
    records = records_of(share=0.75)
    checks, found = probed(records)
    assert checks == [] and found["senior"]["auc"] > 0.8
    (check,) = probed(records, max_text_auc=0.7)[0]
    assert check.name == "text_reveals:senior" and check.closes and "w/f" in check.sentence


@pytest.mark.slow
def test_texts_that_reveal_nothing_pass_and_an_unknown_group_closes() -> None:
    assert probed(records_of(share=0.0), max_text_auc=0.7)[0][0].outcome == "passed"
    assert probed(records_of(share=0.75, known=0.05), max_text_auc=0.7)[0][0].closes
