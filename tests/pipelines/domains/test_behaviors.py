"""Behavioral tests name cases that can be asked, the same at every call."""

from pathlib import Path

import pytest

from pipelines.domains.complaints.behaviors import WORDINGS
from pipelines.domains.complaints.simulator_text import KEY_TERMS
from pipelines.records.behaviors import Behavior, directional, invariance, invariant_pairs, minimum_functionality
from pipelines.records.domain import Domain

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("pipelines/domains/complaints", "tests/domains/complaints_biased", "tests/domains/youtube_spam")
BEHAVIORS = [
    pytest.param(behavior, folder, id=f"{Path(folder).name}-{behavior.name}")
    for folder in FOLDERS
    for behavior in Domain(ROOT / folder).behaviors
]


@pytest.mark.parametrize(("behavior", "folder"), BEHAVIORS)
def test_cases_can_be_asked(behavior: Behavior, folder: str) -> None:
    labels = Domain(ROOT / folder).schema.labels
    cases = behavior.cases()
    assert cases == behavior.cases()
    assert cases and behavior.doc and 0 < behavior.at_least <= 1
    for case in cases:
        assert isinstance(case.record["text"], str)
        assert case.label is None or case.label in labels
        if behavior.kind in ("invariance", "directional"):
            assert case.changed is not None and case.changed["text"] != case.record["text"]
        if behavior.kind in ("directional", "minimum_functionality"):
            assert case.label is not None


def test_complaints_have_all_kinds_and_every_label() -> None:
    domain = Domain(ROOT / FOLDERS[0])
    assert {behavior.kind for behavior in domain.behaviors} == {
        "invariance",
        "directional",
        "minimum_functionality",
        "adversarial",
    }
    plain = [case for item in domain.behaviors if item.kind == "minimum_functionality" for case in item.cases()]
    assert {case.label for case in plain} == set(domain.schema.labels)
    assert max(len(case.record["text"]) for item in domain.behaviors for case in item.cases()) >= 1_000_000


def test_the_swapped_wordings_are_those_of_the_groups() -> None:
    terms = {group: {term for item in KEY_TERMS.values() for term in item[group]} for group in KEY_TERMS["card"]}
    assert sum(plain in terms["rest"] for plain, *_ in WORDINGS) >= 7
    assert sum(older in terms["older_american"] for _, older, _, _ in WORDINGS) >= 7
    assert sum(service in terms["servicemember"] for _, _, service, _ in WORDINGS) >= 7


def test_the_four_ways_to_declare_one() -> None:
    assert invariance("a", texts=["x"], change=str.upper, at_least=1, doc="d").cases()[0].changed == {"text": "X"}
    assert invariant_pairs("b", pairs=[("x", "y")], at_least=1, doc="d").cases()[0].changed == {"text": "y"}
    assert directional("c", triples=[("x", "y", "l")], at_least=1, doc="d").cases()[0].label == "l"
    record = {"text": "x", "company": "C"}
    assert minimum_functionality("d", examples=[(record, "l")], at_least=1, doc="d").cases()[0].record == record


@pytest.mark.parametrize("at_least", [0, -0.1, 1.1])
def test_a_pass_rate_out_of_range_is_refused(at_least: float) -> None:
    with pytest.raises(ValueError, match=r"behavior 'a': invalid at_least"):
        invariance("a", texts=["x"], change=str.upper, at_least=at_least, doc="d")
