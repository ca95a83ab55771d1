"""The model card: complete, self-contained, escaped, the same bytes twice."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest
from evaluate_samples import PARAMS, SCHEMA, answers, gold

from pipelines.gates.verdict import Check, Verdict
from pipelines.stages.evaluate.card import Evidence, confused_pairs, day_span, flatten, render_card
from pipelines.stages.evaluate.measurement import checks_of, measure

VOID = {"meta", "br"}


def evidence(*, rows=400, what="Split records", schema=SCHEMA):
    tests = {"recent": gold(rows), "anchor": gold(rows, seed=5)}
    said = {(n, p): answers(f, right=0.85, seed=2) for n in ("baseline", "finetune") for p, f in tests.items()}
    found = measure(said, tests, schema=schema, params=PARAMS, seed=1)
    chosen = found.choice.candidate
    behaviors = [
        {
            "name": "case",
            "kind": "invariance",
            "sentence": "shouting changes nothing",
            "cases": 2,
            "pass_rate": 0.5,
            "at_least": 0.9,
            "failures": ["“<b>hi</b>”: refund"],
        }
    ]
    gate = Verdict.of(
        "label",
        [Check.at_least("kappa", 0.8, limit=0.7, rows=90, min_rows=1, required=True, sentence="weak agrees with gold")],
    )
    return Evidence(
        schema=schema,
        choice=found.choice,
        scores=found.scores,
        spans={part: day_span(frame) for part, frame in tests.items()},
        slices=found.slices[chosen],
        fairness=found.fairness[chosen],
        groups=found.groups,
        behaviors=behaviors,
        verdict=Verdict.of("evaluate", checks_of(found, said, behaviors, params=PARAMS)),
        gates={"label": gate.to_dict()},
        metrics={"label": {"coverage": 0.93}},
        lineage=[(what, "0f" * 32)],
        confidence=0.95,
        min_slice_rows=20,
    )


class Balance(HTMLParser):
    """Finds tags that are not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_card_is_one_complete_page():
    page = render_card(evidence())
    checker = Balance()
    checker.feed(page)
    assert not checker.wrong
    assert not checker.open
    for word in ("Intended use", "Lineage", "0f0f0f", "weak agrees with gold", "Slices", "seniors", "Limits", "Brier"):
        assert word in page


def test_the_card_needs_nothing_from_elsewhere_and_names_no_time():
    page = render_card(evidence())
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "<script" not in page
    assert "@import" not in page
    assert not re.search(r"\d{2}:\d{2}:\d{2}", page)


def test_the_card_has_the_same_bytes_twice():
    assert render_card(evidence()) == render_card(evidence())


def test_a_person_who_let_a_closed_gate_pass_is_named_with_the_reason():
    found = evidence()
    assert "let exactly this verdict pass" not in render_card(found)
    record = {"stage": "label", "verdict_digest": "ab", "who": "Ana <b>", "when": "2026-03-02T10:00:00+00:00",
              "why": "kappa of one rare class", "checks": ["kappa"], "signature": "cd"}  # fmt: skip
    verdict = Verdict.of("evaluate", found.verdict.checks, overrides=[record])
    page = render_card(dataclasses.replace(found, verdict=verdict))
    said = (
        "closed, by kappa; Ana &lt;b&gt; let exactly this verdict pass</strong> on 2026-03-02: kappa of one rare class"
    )
    assert said in page


def test_whatever_the_data_says_is_escaped():
    page = render_card(evidence(what="<img src=x onerror=alert(1)>"))
    assert "<img" not in page
    assert "<b>hi</b>" not in page
    assert "&lt;b&gt;hi&lt;/b&gt;" in page


@pytest.mark.parametrize("rows", [0, 3])
def test_a_card_of_next_to_nothing_is_still_a_page(rows):
    assert "The gate is closed" in render_card(evidence(rows=rows))


def test_a_domain_without_protected_attributes_says_why():
    import dataclasses

    schema = dataclasses.replace(SCHEMA, protected=(), no_protected_because="Only machines write here.")
    assert render_card(evidence(schema=schema)).count("Only machines write here.") >= 2


def test_the_most_frequent_mistakes_come_first():
    found = evidence()
    pairs = confused_pairs(found.scores["baseline", "recent"], labels=SCHEMA.labels)
    assert [pair["rows"] for pair in pairs] == sorted((pair["rows"] for pair in pairs), reverse=True)
    assert len(pairs) == 3


def test_nested_figures_are_flattened_to_a_depth():
    assert flatten({"b": {"c": 1, "d": {"e": {"f": 2}}}, "a": "x", "n": None}) == [("a", "x"), ("b.c", 1)]


@pytest.mark.parametrize(
    ("interval", "said"),
    [((0.85, 0.95), "passed</span>"), ((0.75, 0.95), "no evidence against</span>"), ((0.5, 0.7), "failed</span>")],
)
def test_a_check_that_passed_without_proof_says_so(interval, said):
    check = Check.at_least(
        "held", 0.82, limit=0.8, interval=interval, rows=90, min_rows=1, required=False, undecided_passes_from=50,
        sentence="groups alike",
    )  # fmt: skip
    page = render_card(dataclasses.replace(evidence(), verdict=Verdict.of("evaluate", [check])))
    row = page[page.index('<th scope="row">held</th>') :]
    assert said in row[: row.index("</tr>")]


def test_favorable_labels_are_named():
    favor = dataclasses.replace(SCHEMA, favorable_labels=("refund",), strata=("channel",))
    page = render_card(evidence(schema=favor))
    assert "To be answered refund is a favor" in page and "favor impact: channel=web" in page
    assert "is a favor" not in render_card(evidence())
