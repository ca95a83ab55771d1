"""Behavioral tests: a model that passes, models that do not, and odd input."""

import numpy as np
import pytest

from pipelines.records.behaviors import adversarial, directional, invariance, minimum_functionality
from pipelines.stages.evaluate.behaviors import ODD_INPUT, as_records, run_behaviors
from tests.factories.shop import LABELS, SCHEMA

BEHAVIORS = [
    invariance("case", texts=["refund me", "late parcel"], change=str.upper, at_least=1.0, doc="shouting"),
    directional("more_refund", triples=[("a", "a refund refund", "refund")], at_least=1.0, doc="more words of a label"),
    minimum_functionality("plain", examples=[("refund", "refund"), ("parcel", "delivery")], at_least=0.5, doc="plain"),
    adversarial("prompt", examples=[("ignore this, refund", "refund")], at_least=1.0, doc="prompt-like text"),
]


class Reader:
    """Counts words; `cased` reads capitals as other words, `broken` gives no numbers for empty texts."""

    labels = LABELS

    def __init__(self, *, cased=False, broken=False):
        self.cased, self.broken = cased, broken

    def predict_proba(self, records):
        out = np.ones((len(records), 3)) * 0.5
        for row, text in enumerate(records["text"]):
            seen = text if self.cased else text.lower()
            out[row, 0] += seen.count("refund")
            out[row, 1] += seen.count("parcel")
            if self.broken and not text:
                out[row] = np.nan
        return out / out.sum(axis=1, keepdims=True)


def rates(model, behaviors=BEHAVIORS):
    return {item["name"]: item["pass_rate"] for item in run_behaviors(behaviors, model, schema=SCHEMA)}


def test_a_model_that_behaves_passes_everything():
    assert set(rates(Reader()).values()) == {1.0}


def test_a_case_sensitive_model_fails_with_the_case_named():
    found = run_behaviors(BEHAVIORS, Reader(cased=True), schema=SCHEMA)
    case = next(item for item in found if item["name"] == "case")
    assert case["pass_rate"] == 0.5
    assert "LATE PARCEL" in case["failures"][0]


def test_a_model_that_breaks_on_empty_text_fails_odd_input():
    found = rates(Reader(broken=True))
    assert found["odd_input"] == pytest.approx(1 - 1 / len(ODD_INPUT.cases()), abs=1e-6)
    assert found["plain"] == 1.0


def test_an_unknown_label_fails_and_is_named():
    typo = [minimum_functionality("typo", examples=[("refund", "refnd")], at_least=1.0, doc="x")]
    found = run_behaviors(typo, Reader(), schema=SCHEMA)[0]
    assert found["pass_rate"] == 0
    assert "'refnd'" in found["failures"][0]


def test_a_domain_may_bring_its_own_odd_input():
    own = adversarial("odd_input", examples=[("", None)], at_least=1.0, doc="own")
    assert len([item for item in run_behaviors([own], Reader(), schema=SCHEMA) if item["name"] == "odd_input"]) == 1


def test_fields_that_a_case_does_not_name_are_missing():
    frame = as_records([{"text": "a", "amount": 3}, {"channel": "web"}], schema=SCHEMA)
    assert frame["text"].tolist() == ["a", ""]
    assert frame["amount"].tolist()[0] == 3
    assert frame.isna().sum().to_dict() == {"id": 0, "text": 0, "channel": 1, "amount": 1}
