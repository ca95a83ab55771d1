"""Every sentence of a verdict is true of its numbers, whatever was measured: nothing, one group, a handful of rows."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader

from pipelines.gates.verdict import Check, Verdict
from pipelines.records.schema import ProtectedAttribute
from pipelines.reporting import report
from pipelines.stages.evaluate.checks import fairness_checks, floor_checks, slice_check
from pipelines.stages.evaluate.fairness import measure_fairness
from pipelines.stages.evaluate.predictions import answers_of
from pipelines.stages.evaluate.scores import score
from pipelines.stats.comparison import Resampling
from tests.factories import letters, shop
from tests.factories.sentences import problems

KINDS = ("usual", "unknown", "members only", "no members", "three members", "half unknown")
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def groups(kind: str, n: int, draw: np.random.Generator) -> pd.arrays.IntegerArray:
    """Return a protected attribute (n,) of one kind."""
    codes = (draw.random(n) < 0.3).astype("float64")
    changed = {
        "unknown": np.full(n, np.nan),
        "members only": np.ones(n),
        "no members": np.zeros(n),
        "three members": (np.arange(n) < 3).astype("float64"),
        "half unknown": np.where(draw.random(n) < 0.5, np.nan, codes),
    }
    values = changed.get(kind, codes)
    return pd.array([None if np.isnan(value) else int(value) for value in values], dtype="Int8")


def untrue(verdict: Verdict) -> dict[str, list[str]]:
    """Return the problems of each check's sentence."""
    return {check.name: found for check in verdict.checks if (found := problems(check))}


def shown_outcomes(verdict: Verdict) -> list[tuple[str, str]]:
    """Return the outcome of each check as the pages show it."""
    environment = Environment(loader=FileSystemLoader(report.TEMPLATES), autoescape=True)
    environment.filters |= {name: getattr(report, name) for name in ("number", "percent", "thousands", "words")}
    macros = environment.get_template("macros.html.j2").module
    checks = json.loads(json.dumps(verdict.to_dict()))["checks"]
    page = "".join(str(macros.outcome_of(check)) for check in checks)
    return re.findall(r'class="badge (\w+)">([^<]+)</span>', page)


@SETTINGS
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(KINDS),
    n=st.sampled_from([1, 5, 60, 400, 1500]),
    gold=st.sampled_from([0.0, 0.02, 1.0]),
    accuracy=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    harm=st.sampled_from([0.0, 0.3, 1.0]),
    favorable=st.sampled_from([(), ("grant",), ("refuse", "ask")]),
    reason=st.booleans(),
)
@pytest.mark.slow
def test_of_the_bias_gate(seed, kind, n, gold, accuracy, harm, favorable, reason):
    draw = np.random.default_rng(seed)
    records, matrix = letters.letters(n, accuracy=accuracy, seed=seed)
    records["veteran"] = groups(kind, n, draw)
    records.loc[draw.random(n) >= gold, "gold"] = None
    side = int(draw.integers(0, 2))
    hit = records["veteran"].eq(side).fillna(False).to_numpy(bool) & (draw.random(n) < harm)
    matrix[hit] = [-1, -1, -1, -1] if draw.random() < 0.5 else [0, -1, -1, -1]
    _, verdict = letters.measured(
        records,
        matrix,
        of=letters.letters_schema(favorable_labels=favorable, strata=("region",) if favorable else ()),
        undecided_passes={"veteran": "the form does not ask"} if reason else {},
    )
    assert untrue(verdict) == {}
    for check in verdict.checks:
        if "harmed:" in check.sentence:
            harmed = check.details["group"]
            rates = re.search(r"(\d+\.\d)% of (\w+) and (\d+\.\d)% of (\w+) ", check.sentence)
            if rates:
                lower = rates.group(2) if float(rates.group(1)) < float(rates.group(3)) else rates.group(4)
                assert harmed == lower, check.describe()
    badges = shown_outcomes(verdict)
    assert [badge for badge, _ in badges] == [check.outcome for check in verdict.checks]
    assert all(words in ("no evidence against", badge) for badge, words in badges)


@SETTINGS
@given(
    seed=st.integers(0, 10_000),
    kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)),
    n=st.sampled_from([1, 6, 80, 600]),
    right=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    harm=st.sampled_from([0.0, 0.5, 1.0]),
    favorable=st.sampled_from([(), ("refund",)]),
    reason=st.booleans(),
)
@pytest.mark.slow
def test_of_evaluate(seed, kinds, n, right, harm, favorable, reason):
    draw = np.random.default_rng(seed)
    schema = replace(
        shop.SCHEMA,
        favorable_labels=favorable,
        strata=("channel",) if favorable else (),
        protected=(*shop.SCHEMA.protected, ProtectedAttribute("veteran", member="veterans", rest="civilians")),
    )
    rows = shop.gold(n, seed=seed).assign(senior=groups(kinds[0], n, draw), veteran=groups(kinds[1], n, draw))
    harmed = rows["senior"].eq(1).fillna(False).to_numpy(bool) & (draw.random(n) < harm)
    chosen = shop.model_probabilities(rows, right=np.where(harmed, 0.0, right), seed=seed)
    answers = answers_of(rows, chosen, labels=shop.LABELS, given=shop.LABELS)
    reasons = {"senior": "the form does not ask"} if reason else {}
    limits = shop.PARAMS.fairness.model_copy(update={"undecided_passes": reasons})
    found = measure_fairness({"recent": (answers, rows)}, schema=schema, confidence=0.9, limits=limits)
    checks = fairness_checks(found, min_group_rows=limits.min_group_rows)
    resampling = Resampling.of(np.arange(n), resamples=200, seed=1)
    scores = score(answers, resampling=resampling, confidence=0.95, bins=15, null_simulations=50, seed=1)
    checks += floor_checks(
        {"recent": scores},
        min_scores={"accuracy": 0.6, "lowest_recall": 0.4},
        max_losses={"log_loss": 1.2},
        min_rows=100,
        min_class_rows=20,
    )
    verdict = Verdict.of("evaluate", [*checks, slice_check([], gap=0.3, rows=n)])
    assert untrue(verdict) == {}
    assert [badge for badge, _ in shown_outcomes(verdict)] == [check.outcome for check in verdict.checks]
    for item, check in zip(found, checks, strict=False):
        if item["interval"] is not None and item["rows"] >= limits.min_group_rows:
            assert check.outcome in ("passed", "failed")
        if kinds[0] == "unknown" and check.name.startswith("senior_"):
            assert (check.outcome, check.closes) == ("undecided", not reason)


@pytest.mark.parametrize(
    ("sentence", "changes"),
    [
        ("nan% of a and 20.0% of b have a label", {}),
        ("10.0% of a and 20.0% of b have a label; harmed: a", {"outcome": "undecided"}),
        ("10.0% of a and 20.0% of b have a label", {"value": 0.9}),
        ("a and b differ: undefined", {}),
        ("the smaller group has 3 rows, at least 50 needed: undecided", {"outcome": "undecided"}),
        ("a are right 3.0% less often than b", {"name": "equal_opportunity:x"}),
        ("a are right 30.0 points less often than b", {"name": "equal_opportunity:x"}),
    ],
)
def test_a_sentence_that_is_not_true_is_seen(sentence, changes):
    check = Check.at_least(
        "coverage:x", 0.5, limit=0.8, interval=(0.4, 0.6), rows=100, min_rows=50, required=True, sentence=sentence
    )
    assert problems(replace(check, **changes))
