"""Verdicts: what passes, fails and stays undecided, and that a gate cannot be talked open."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.gates.verdict import Check, Verdict, read_verdict, verdict_digest


def check(value, *, interval=None, rows=100, required=True, limit=0.7, **more):
    return Check.at_least(
        "kappa", value, limit=limit, interval=interval, rows=rows, min_rows=50, required=required, sentence="s", **more
    )


@pytest.mark.parametrize(
    ("value", "interval", "rows", "outcome"),
    [
        (0.8, (0.75, 0.85), 100, "passed"),
        (0.8, (0.65, 0.85), 100, "undecided"),
        (0.6, (0.5, 0.69), 100, "failed"),
        (0.8, None, 100, "passed"),
        (0.6, None, 100, "failed"),
        (0.8, (0.75, 0.85), 49, "undecided"),
        (0.8, (math.nan, 0.85), 100, "undecided"),
        (math.nan, None, 100, "failed"),
        (None, None, 100, "failed"),
    ],
)
def test_outcome_of_a_required_check(value, interval, rows, outcome):
    assert check(value, interval=interval, rows=rows).outcome == outcome


def test_undecided_closes_only_where_required_and_failed_always_does():
    assert check(0.8, rows=3, required=True).closes
    assert not check(0.8, rows=3, required=False).closes
    assert check(0.1, required=False).closes


def test_evidence_of_harm_gate_passes_a_large_group_whose_interval_holds_the_limit():
    assert check(0.72, interval=(0.66, 0.8), undecided_passes_from=100).outcome == "passed"
    assert check(0.72, interval=(0.66, 0.8), rows=99, undecided_passes_from=100).outcome == "undecided"
    assert check(0.6, interval=(0.5, 0.69), undecided_passes_from=100).outcome == "failed"


def test_a_gate_without_checks_is_closed():
    assert not Verdict.of("label", []).passed


def test_two_checks_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two checks are named 'kappa'"):
        Verdict.of("label", [check(0.8), check(0.9)])


def test_a_verdict_reads_back():
    verdict = Verdict.of("label", [check(0.8, interval=(0.75, math.inf))], shown_records=[{"id": "7"}])
    content = json.loads(json.dumps(verdict.to_dict()))
    again = read_verdict(content, stage="label")
    assert again.passed
    assert again.to_dict() == content


@pytest.mark.parametrize(
    "mutate",
    [
        lambda body: body.update(passed=True),
        lambda body: body["checks"].clear(),
        lambda body: body["checks"][0].update(outcome="passed"),
        lambda body: body.update(stage="split"),
        lambda body: body.pop("digest"),
        lambda body: body.pop("checks"),
    ],
)
def test_an_edited_verdict_is_refused(mutate):
    content = Verdict.of("label", [check(0.1)]).to_dict()
    mutate(content)
    with pytest.raises(ValueError, match=r"digest|verdict of"):
        read_verdict(content, stage="label")


def test_a_lying_verdict_with_a_fitting_digest_is_refused():
    content = Verdict.of("label", [check(0.1)]).to_dict()
    content["passed"] = True
    content["digest"] = verdict_digest(content)
    with pytest.raises(ValueError, match="does not follow from its checks"):
        read_verdict(content, stage="label")


@given(
    value=st.floats(allow_nan=True, allow_infinity=True),
    low=st.floats(allow_nan=True),
    high=st.floats(allow_nan=True),
    rows=st.integers(0, 200),
)
def test_a_required_check_never_passes_on_too_few_rows_or_no_number(value, low, high, rows):
    found = check(value, interval=(min(low, high), max(low, high)), rows=rows)
    if found.outcome == "passed":
        assert rows >= 50
        assert not math.isnan(value)
        assert min(low, high) >= 0.7


@given(value=st.floats(0, 1), limit=st.floats(0, 1))
def test_at_most_mirrors_at_least(value, limit):
    rest = {"rows": 10, "min_rows": 1, "required": True, "sentence": "s"}
    most = Check.at_most("a", value, limit=limit, **rest)
    least = Check.at_least("a", -value, limit=-limit, **rest)
    assert most.outcome == least.outcome
