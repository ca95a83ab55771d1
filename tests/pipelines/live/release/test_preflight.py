"""The pre-flight stops a model that is slow, or whose answers differ from the evaluated ones or are not finite."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipelines.gates.verdict import Verdict
from pipelines.live.release.preflight import _evaluated_records, checks_of, compare_answers, measure
from pipelines.runtime.errors import GateClosed, InputError
from pipelines.runtime.store import Store

LABELS = ["a", "b"]
RECORDS = pd.DataFrame({"text": [f"text {index}" for index in range(5)]})
FAST = {name: {"batch": batch, "p95_ms": 10.0, "calls": 50} for name, batch in (("single", 1), ("batch", 64))}
LIMITS = {"single": 20.0, "batch": 20.0}


class Model:
    """Answers the same for every record, or raises."""

    def __init__(self, error=None):
        self.error, self.sizes = error, []

    def predict(self, records):
        self.sizes.append(len(records))
        if self.error:
            raise self.error
        return pd.DataFrame({"p_a": [0.7] * len(records), "p_b": [0.3] * len(records)})


def passed(**changed):
    given = {"figures": FAST, "limits": LIMITS, "same": 1.0, "difference": 0.0, "rows": 256, **changed}
    return Verdict.of("preflight", checks_of(**given)).passed


def test_a_fast_model_that_answers_as_evaluated_passes():
    assert passed()


@pytest.mark.parametrize(
    "changed",
    [
        {"figures": {**FAST, "single": {**FAST["single"], "p95_ms": 20.1}}},
        {"figures": {**FAST, "batch": {**FAST["batch"], "p95_ms": 500.0}}},
        {"same": 0.98},
        {"difference": 0.06},
        {"difference": float("nan")},
        {"rows": 0},
    ],
)
def test_a_model_that_is_slow_or_differs_does_not(changed):
    assert not passed(**changed)


def test_answers_are_compared_with_what_was_evaluated():
    answer = Model().predict(RECORDS)
    expected = np.array([[0.7, 0.3]] * 4 + [[0.4, 0.6]])
    same, difference = compare_answers(answer, expected=expected, labels=LABELS)
    assert same == pytest.approx(0.8)
    assert difference == pytest.approx(0.3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_probability_that_is_not_finite_is_refused(value):
    answer = pd.DataFrame({"p_a": [0.5, value], "p_b": [0.5, 0.5]})
    with pytest.raises(InputError, match="a probability that is not a finite number"):
        compare_answers(answer, expected=np.full((2, 2), 0.5), labels=LABELS)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_every_call_has_the_batch_that_is_measured(batch):
    model = Model()
    figure = measure(model, RECORDS, batch=batch, seconds=0.02, clients=2)
    assert set(model.sizes) == {batch}
    assert figure["calls"] == len(model.sizes) - 1  # one to warm up
    assert 0 <= figure["p50_ms"] <= figure["p95_ms"] <= figure["p99_ms"]
    assert figure["records_per_second"] > 0


def test_a_model_that_fails_under_load_is_named():
    class Later(Model):
        def predict(self, records):
            if self.sizes:
                self.error = InputError("NaN for 1 of 1 records")
            return super().predict(records)

    with pytest.raises(InputError, match=r"failed on a batch of 1: .*NaN for 1"):
        measure(Later(), RECORDS, batch=1, seconds=0.02, clients=2)


def test_without_records_nothing_is_measured():
    with pytest.raises(InputError, match="no records to predict"):
        measure(Model(), RECORDS.head(0), batch=1, seconds=0.02, clients=1)


@pytest.fixture
def evaluated(tmp_path):
    """A store after `evaluate`: three recent gold rows of the baseline, and one anchor row."""
    store = Store(tmp_path)
    rows = pd.DataFrame({"id": list("1234"), "part": ["recent"] * 3 + ["anchor"], "candidate": "baseline"})
    rows = rows.assign(label=["a", "b", "a", "a"], p_a=[0.7, 0.2, 0.9, 0.6], p_b=[0.3, 0.8, 0.1, 0.4])
    store.write_records("evaluate", rows, name="predictions")
    store.write_records("split", pd.DataFrame({"id": list("4321"), "text": "x", "amount": 1.0}))
    return store


SCHEMA = SimpleNamespace(labels=tuple(LABELS), features=(SimpleNamespace(name="amount"),))


def test_the_evaluated_records_are_sent_as_requests(evaluated):
    records, expected = _evaluated_records(evaluated, schema=SCHEMA, candidate="baseline")
    assert records.columns.tolist() == ["text", "amount"]
    assert expected.tolist() == [[0.7, 0.3], [0.2, 0.8], [0.9, 0.1]]


def test_a_candidate_without_recent_rows_is_refused(evaluated):
    with pytest.raises(InputError, match="no recent gold row with finetune"):
        _evaluated_records(evaluated, schema=SCHEMA, candidate="finetune")


def test_predictions_that_were_edited_are_refused(evaluated):
    rows = evaluated.read_records("evaluate", name="predictions")
    evaluated.write_records("evaluate", rows.assign(label="a"), name="predictions")
    with pytest.raises(GateClosed, match="for 1 of 3 recent rows of baseline"):
        _evaluated_records(evaluated, schema=SCHEMA, candidate="baseline")
