"""The model card: complete, self-contained, escaped, the same bytes twice."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

from pipelines.gates.verdict import Check, Verdict
from pipelines.reporting.evidence import RunEvidence
from pipelines.reporting.model_card import confused_pairs, flatten, model_card
from pipelines.runtime.store import to_json
from pipelines.stages.evaluate.card import card_facts
from pipelines.stages.evaluate.measurement import checks_of, measure
from pipelines.stages.evaluate.reference import Reference, compare_with_reference
from tests.factories.shop import PARAMS, SCHEMA, answers, gold

VOID = {"meta", "br"}


def evidence(*, rows=400, what="Split records", schema=SCHEMA, verdict=None, overrides=(), reference=0.6):
    tests = {"recent": gold(rows), "anchor": gold(rows, seed=5)}
    found_answers = {(n, p): answers(f, right=0.85, seed=2) for n in ("baseline", "finetune") for p, f in tests.items()}
    found = measure(found_answers, tests, schema=schema, params=PARAMS, seed=1)
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
    card = card_facts(found, tests, behaviors, schema=schema, params=PARAMS) | {"lineage": [(what, "0f" * 32)]}
    verdict = verdict or Verdict.of(
        "evaluate", checks_of(found, found_answers, behaviors, params=PARAMS), overrides=overrides
    )
    kappa = Check.at_least(
        "kappa", 0.8, limit=0.7, rows=90, min_rows=1, required=True, sentence="weak agrees with gold"
    )
    others = Reference("TF-IDF", 2.0, {part: answers(f, right=reference, seed=4) for part, f in tests.items()})
    row = compare_with_reference(
        others,
        found_answers["baseline", "recent"],
        candidate="baseline",
        resamplings=found.resamplings,
        confidence=PARAMS.confidence,
    )
    metrics = {"evaluate": found.as_metrics() | {"card": card, "reference": row}, "label": {"coverage": 0.93}}
    verdicts = {"label": Verdict.of("label", [kappa]).to_dict(), "evaluate": verdict.to_dict()}
    return RunEvidence(json.loads(to_json(metrics)), json.loads(to_json(verdicts)), ())


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


@pytest.mark.parametrize(
    ("reference", "lead", "warns"), [(0.6, "proven", False), (0.86, "unproven", True), (0.97, "negative", True)]
)
def test_candidates_that_are_not_shown_to_beat_the_reference_are_a_warning(reference, lead, warns):
    found = evidence(reference=reference)
    page = model_card(found)
    assert found.metrics["evaluate"]["reference"]["lead"] == lead
    assert ("<strong>Warning.</strong>" in page) is warns
    assert found.metrics["evaluate"]["reference"]["sentence"] in page.replace("&#39;", "'")


def test_the_card_is_one_complete_page():
    page = model_card(evidence())
    checker = Balance()
    checker.feed(page)
    assert not checker.wrong
    assert not checker.open
    for word in ("Intended use", "Lineage", "0f0f0f", "weak agrees with gold", "Slices", "seniors", "Limits", "Brier"):
        assert word in page


def test_the_card_needs_nothing_from_elsewhere_and_names_no_time():
    page = model_card(evidence())
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "<script" not in page
    assert "@import" not in page
    assert not re.search(r"\d{2}:\d{2}:\d{2}", page)


def test_the_card_has_the_same_bytes_twice():
    assert model_card(evidence()) == model_card(evidence())


def test_an_override_is_named_with_person_and_reason():
    assert "for exactly this verdict" not in model_card(evidence())
    record = {"stage": "label", "verdict_digest": "ab", "who": "Ana <b>", "when": "2026-03-02T10:00:00+00:00",
              "why": "kappa of one rare class", "checks": ["kappa"], "signature": "cd"}  # fmt: skip
    page = model_card(evidence(overrides=[record]))
    assert "closed by kappa; overridden by Ana &lt;b&gt; for exactly this verdict" in page
    assert "on 2026-03-02: kappa of one rare class" in page


def test_text_from_the_data_is_escaped():
    page = model_card(evidence(what="<img src=x onerror=alert(1)>"))
    assert "<img" not in page
    assert "<b>hi</b>" not in page
    assert "&lt;b&gt;hi&lt;/b&gt;" in page


@pytest.mark.parametrize("rows", [0, 3])
def test_a_card_of_very_few_rows_is_a_page(rows):
    assert "The gate is closed" in model_card(evidence(rows=rows))


def test_a_domain_without_protected_attributes_states_the_reason():
    schema = dataclasses.replace(SCHEMA, protected=(), no_protected_because="Only machines write here.")
    assert model_card(evidence(schema=schema)).count("Only machines write here.") >= 2


def test_the_most_frequent_errors_come_first():
    card = evidence().metrics["evaluate"]["card"]
    pairs = confused_pairs(card["confusion"], labels=SCHEMA.labels)
    assert [pair["rows"] for pair in pairs] == sorted((pair["rows"] for pair in pairs), reverse=True)
    assert len(pairs) == 3


def test_nested_metrics_are_flattened_to_a_depth():
    assert flatten({"b": {"c": 1, "d": {"e": {"f": 2}}}, "a": "x", "n": None}) == [("a", "x"), ("b.c", 1)]


@pytest.mark.parametrize(
    ("interval", "badge"),
    [((0.85, 0.95), "passed</span>"), ((0.75, 0.95), "no evidence against</span>"), ((0.5, 0.7), "failed</span>")],
)
def test_a_check_that_passed_without_proof_is_marked(interval, badge):
    check = Check.at_least(
        "held", 0.82, limit=0.8, interval=interval, rows=90, min_rows=1, required=False, undecided_passes_from=50,
        sentence="groups alike",
    )  # fmt: skip
    page = model_card(evidence(verdict=Verdict.of("evaluate", [check])))
    row = page[page.index('<th scope="row">held</th>') :]
    assert badge in row[: row.index("</tr>")]


def test_favorable_labels_are_named():
    schema = dataclasses.replace(SCHEMA, favorable_labels=("refund",), strata=("channel",))
    page = model_card(evidence(schema=schema))
    assert "The prediction refund is a favorable outcome too" in page and "favorable impact: channel=web" in page
    assert "is a favorable outcome too" not in model_card(evidence())
