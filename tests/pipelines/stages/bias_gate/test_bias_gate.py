"""The bias gate closes on evidence of harm, names who is harmed and by what, and opens when it is mended."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.gates.verdict import Verdict
from pipelines.records.domain import DomainSchema, Feature, ProtectedAttribute
from pipelines.records.majority import majority_vote
from pipelines.runtime.errors import InputError
from pipelines.stages.bias_gate.fairness import aif360_quietly, error_gaps, parity, reweighing_factors
from pipelines.stages.bias_gate.gate import judge
from pipelines.stages.bias_gate.measure import Rows, compare_errors, group_codes
from pipelines.stages.bias_gate.params import BiasGateParams
from pipelines.stages.bias_gate.report import data_report
from pipelines.stages.bias_gate.reweighing import effective_share, fit_weights
from pipelines.stages.bias_gate.upstream import fates, fates_by_group
from pipelines.stats.fairness import equal_opportunity

LABELS = ("refuse", "grant", "ask")
NAMES = ["finds_refuse", "finds_grant", "finds_ask", "finds_all"]


def schema(**changes) -> DomainSchema:
    values = {
        "name": "letters",
        "labels": LABELS,
        "features": (Feature("region", kind="category"), Feature("size", kind="number")),
        "protected": (ProtectedAttribute("veteran", member="veterans", rest="civilians"),),
        "no_protected_because": None,
        "favorable_labels": (),
        "strata": (),
        "gold_delay_days": 0,
        "required_columns": (),
        "requires_text": False,
    }
    return DomainSchema(**{**values, **changes})


def params(**changes) -> BiasGateParams:
    values = {
        "measured_parts": ["train", "validation"],
        "confidence": 0.95,
        "min_group_rows": 50,
        "min_class_rows": 20,
        "disparate_impact_at_least": 0.8,
        "equal_opportunity_at_most": 0.1,
        "equalized_odds_at_most": 0.2,
        "undecided_closes": True,
        "mitigation": "none",
        "largest_weight_at_most": 5.0,
        "effective_sample_at_least": 0.5,
        "min_validation_rows": 50,
        "weighted_parity_at_most": 0.15,
    }
    return BiasGateParams.model_validate({**values, **changes})


def sample(n: int = 1500, *, share: float = 0.3, accuracy: float = 0.9, seed: int = 0):
    """Records, and votes that are as good for veterans as for civilians."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 3, n)
    records = pd.DataFrame(
        {
            "id": [f"r{i:05d}" for i in range(n)],
            "text": [f"<b>text</b> {i}" for i in range(n)],
            "gold": pd.array([LABELS[g] for g in gold], dtype="string"),
            "part": np.where(generator.random(n) < 0.7, "train", "validation"),
            "region": pd.array(generator.choice(["north", "south"], n), dtype="string"),
            "size": generator.random(n),
            "veteran": pd.array((generator.random(n) < share).astype(int), dtype="Int8"),
        }
    )
    matrix = np.full((n, 4), -1, dtype=np.int16)
    for label in range(3):
        matrix[:, label] = np.where((gold == label) & (generator.random(n) < accuracy), label, -1)
    matrix[:, 3] = np.where(generator.random(n) < 0.3, gold, -1)
    return records, matrix


def run(records, matrix, *, of=None, survived=None, **changes):
    codes = majority_vote(matrix, n_labels=3, ties="abstain")
    weak = pd.Series(pd.array([LABELS[c] if c >= 0 else None for c in codes], dtype="string"))
    fate = pd.Series(np.where(np.ones(len(records)) if survived is None else survived, "labeled", "duplicate: near"))
    chosen = schema() if of is None else of
    evidence = judge(
        records,
        weak=weak,
        matrix=matrix,
        names=NAMES,
        ties="abstain",
        ingested=records[["id", *(item.name for item in chosen.protected)]],
        fate=fate,
        schema=chosen,
        params=params(**changes),
    )
    return evidence, Verdict.of("bias_gate", evidence.checks, shown_records=evidence.shown)


def check(verdict, name):
    return next(item for item in verdict.checks if item.name == name)


# ---- clean opens, harm closes


def test_fair_labels_open_the_gate():
    evidence, verdict = run(*sample())
    assert verdict.passed, [item.describe() for item in verdict.closed_by]
    assert evidence.shown == []
    names = {item.name for item in verdict.checks}
    assert names == {
        f"{measure}:veteran"
        for measure in ("coverage", "labeled_right", "equal_opportunity", "equalized_odds", "survival")
    }
    assert (evidence.weights["weight"] == 1.0).all()


def test_a_function_that_leaves_a_group_without_labels_closes_and_is_named():
    records, matrix = sample()
    veteran = (records["veteran"] == 1).to_numpy()
    matrix[veteran, 1] = -1  # finds_grant does not know their words
    matrix[veteran, 3] = -1
    evidence, verdict = run(records, matrix)
    assert not verdict.passed
    found = check(verdict, "coverage:veteran")
    assert found.outcome == "failed"
    assert found.details["attribute"] == "veteran"
    assert found.details["group"] == "veterans"
    assert found.details["labeling_functions"][0] == "finds_grant"
    assert "harmed: veterans; caused by labeling functions finds_grant" in found.sentence
    assert len(evidence.shown) == 3
    assert {record["group"] for record in evidence.shown} == {"veterans"}
    ids = {record["id"] for record in evidence.shown}
    assert records.loc[records["id"].isin(ids), "veteran"].eq(1).all()


def test_a_function_that_labels_a_group_wrongly_closes_and_is_named_and_opens_when_mended():
    records, matrix = sample()
    veteran = (records["veteran"] == 1).to_numpy()
    gold = pd.Categorical(records["gold"].astype(object), categories=list(LABELS)).codes
    biased = matrix.copy()
    wrong = veteran & (gold == 0)
    biased[wrong, 2] = 2  # finds_ask and finds_all take their refusals for questions; finds_refuse does as ever
    biased[wrong, 3] = 2
    evidence, verdict = run(records, biased)
    closed = {item.name for item in verdict.closed_by}
    assert {"labeled_right:veteran", "equal_opportunity:veteran", "equalized_odds:veteran"} <= closed
    for name in closed:
        assert set(check(verdict, name).details["labeling_functions"]) <= {"finds_ask", "finds_all"}
    assert check(verdict, "equal_opportunity:veteran").details["labeling_functions"]
    assert all(record["votes"].get("finds_ask") == "ask" for record in evidence.shown)
    assert all(record["gold"] == "refuse" for record in evidence.shown)
    assert run(records, matrix)[1].passed


def test_rows_lost_upstream_by_one_group_close_it():
    records, matrix = sample()
    survived = ~((records["veteran"] == 1) & (np.arange(len(records)) % 2 == 0)).to_numpy()
    _, verdict = run(records, matrix, survived=survived)
    assert check(verdict, "survival:veteran").outcome == "failed"
    assert "50" in check(verdict, "survival:veteran").sentence


def test_harm_to_the_rest_closes_it_too():
    records, matrix = sample()
    matrix[(records["veteran"] == 0).to_numpy() & (np.arange(len(records)) % 2 == 0)] = -1
    _, verdict = run(records, matrix)
    assert check(verdict, "coverage:veteran").details["group"] == "civilians"


# ---- undecided and undefined


def test_a_group_of_three_rows_is_undecided_with_a_sentence_and_closes():
    records, matrix = sample()
    records["veteran"] = pd.array([1] * 3 + [0] * (len(records) - 3), dtype="Int8")
    _, verdict = run(records, matrix)
    found = check(verdict, "coverage:veteran")
    assert found.outcome == "undecided"
    assert "the smaller group has 3 rows, 50 wanted: undecided" in found.sentence
    assert not verdict.passed
    _, reported = run(records, matrix, undecided_closes=False)
    assert check(reported, "coverage:veteran").outcome == "undecided"


def test_an_interval_that_holds_the_limit_does_not_close_a_large_group():
    records, matrix = sample(600, share=0.2)
    veteran = np.flatnonzero((records["veteran"] == 1).to_numpy())
    matrix[veteran[: int(len(veteran) * 0.19)]] = -1
    _, verdict = run(records, matrix)
    found = check(verdict, "coverage:veteran")
    assert found.interval[0] < 0.8 < found.interval[1]
    assert found.outcome == "passed"


@pytest.mark.parametrize("gone", ["group", "gold", "labels"])
def test_an_undefined_metric_closes_even_where_undecided_does_not(gone):
    records, matrix = sample()
    if gone == "group":
        records["veteran"] = pd.array([0] * len(records), dtype="Int8")
    if gone == "gold":
        records["gold"] = pd.array([None] * len(records), dtype="string")
    if gone == "labels":
        matrix[:] = -1
    _, verdict = run(records, matrix, undecided_closes=False)
    assert not verdict.passed
    assert any(item.value is None and "undefined" in item.sentence for item in verdict.closed_by)


def test_no_rows_close_it_without_a_crash():
    records, matrix = sample()
    _, verdict = run(records.head(0), matrix[:0])
    assert not verdict.passed


def test_a_domain_without_protected_attributes_says_why():
    records, matrix = sample()
    evidence, verdict = run(
        records, matrix, of=schema(protected=(), no_protected_because="comments carry no person's data")
    )
    assert verdict.passed
    assert [item.name for item in verdict.checks] == ["protected_attributes"]
    assert "comments carry no person's data" in verdict.checks[0].sentence
    assert len(evidence.weights) and (evidence.weights["weight"] == 1.0).all()


def test_unknown_groups_are_left_out():
    records, matrix = sample()
    records.loc[:199, "veteran"] = pd.NA
    evidence, verdict = run(records, matrix)
    assert evidence.metrics["groups"]["veteran"]["unknown_rows"] == 200
    assert verdict.passed


# ---- labels that are a favor


def test_a_favorable_label_gates_in_every_stratum():
    records, matrix = sample(3000)
    favor = schema(favorable_labels=("grant",), strata=("region",))
    assert run(records, matrix, of=favor)[1].passed
    veteran = (records["veteran"] == 1).to_numpy()
    granted = veteran & (matrix[:, 1] == 1) & (records["region"] == "north").to_numpy(dtype=bool)
    refused = np.flatnonzero(granted)[::2]
    matrix[refused] = [0, -1, -1, -1]
    records.loc[refused, "gold"] = "refuse"  # rightly labeled: no labeling error, but no favor either
    _, verdict = run(records, matrix, of=favor)
    assert check(verdict, "label_impact:veteran:region=north").outcome == "failed"
    assert check(verdict, "label_impact:veteran:region=south").outcome == "passed"


def test_a_favor_that_a_labeling_function_withholds_names_it_and_the_group():
    records, matrix = sample(3000)
    veteran = (records["veteran"] == 1).to_numpy()
    misled = np.flatnonzero(veteran & (matrix[:, 1] == 1))[::2]
    matrix[misled] = [0, -1, -1, -1]  # refused by its words, though gold grants it
    _, verdict = run(records, matrix, of=schema(favorable_labels=("grant",)))
    closed = check(verdict, "label_impact:veteran")
    assert closed.outcome == "failed" and closed.details["group"] == "veterans"
    assert "finds_refuse" in closed.details["labeling_functions"] and "finds_refuse" in closed.sentence
    assert "a favorable gold label is given to veterans" in check(verdict, "equal_opportunity:veteran").sentence


def test_without_a_large_stratum_all_rows_are_judged():
    records, matrix = sample(400)
    favor = schema(favorable_labels=("grant",), strata=("size",))
    _, verdict = run(records, matrix, of=favor, min_group_rows=100)
    assert "label_impact:veteran" in {item.name for item in verdict.checks}


def test_another_mix_of_labels_is_no_check_without_favorable_ones():
    records, matrix = sample()
    keep = ~((records["veteran"] == 1) & (records["gold"] == "grant") & (np.arange(len(records)) % 4 > 0)).to_numpy()
    _, verdict = run(records[keep].reset_index(drop=True), matrix[keep])
    assert verdict.passed
    assert not any(item.name.startswith("label_impact") for item in verdict.checks)


# ---- reweighing


def skewed(n: int = 2000):
    """Veterans are granted half as often as civilians."""
    records, matrix = sample(n)
    drop = (records["veteran"] == 1) & (records["gold"] == "grant") & (np.arange(n) % 2 == 0)
    keep = ~drop.to_numpy(dtype=bool)
    return records[keep].reset_index(drop=True), matrix[keep]


@pytest.mark.parametrize("favorable", [(), ("grant",)])
def test_reweighing_makes_labels_independent_of_groups_and_is_judged_on_validation(favorable):
    evidence, verdict = run(*skewed(), of=schema(favorable_labels=favorable), mitigation="reweighing")
    assert verdict.passed, [item.describe() for item in verdict.closed_by]
    found = evidence.metrics["mitigation"]["attributes"]["veteran"]
    assert found["train"]["before"]["value"] > 0.05
    assert found["train"]["after"]["value"] == pytest.approx(0, abs=1e-8)
    assert found["validation"]["after"]["value"] > 0
    assert evidence.weights["weight"].nunique() == (6 if not favorable else 4)
    names = {item.name for item in verdict.checks}
    assert {"weighted_parity:veteran", "largest_weight", "effective_sample"} <= names


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"largest_weight_at_most": 1.01}, "largest_weight"), ({"effective_sample_at_least": 0.999}, "effective_sample")],
)
def test_weights_that_go_too_far_close_it(changes, name):
    _, verdict = run(*skewed(), mitigation="reweighing", **changes)
    assert check(verdict, name).outcome == "failed"


def test_an_empty_cell_is_an_error_with_its_reason():
    records, matrix = sample()
    keep = ~((records["veteran"] == 1) & (records["gold"] == "grant")).to_numpy()
    with pytest.raises(InputError, match="no training row with veteran = 1 is labeled grant"):
        run(records[keep].reset_index(drop=True), matrix[keep], mitigation="reweighing")


cells = st.lists(st.integers(1, 30), min_size=6, max_size=6)


@settings(deadline=None, max_examples=25)
@given(cells, cells)
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


# ---- the metrics


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
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


# ---- upstream and the report


def test_every_accepted_record_has_one_fate():
    ingested = pd.DataFrame({"id": list("abcdef"), "veteran": pd.array([1, 0, 0, 1, None, 0], dtype="Int8")})
    dropped = pd.DataFrame({"id": ["a", "b"], "reason": ["exact", "near"]})
    fate = fates(ingested, dropped=dropped, split_ids=["c", "d", "anchor-of-old"], labeled_ids=["c"])
    assert fate.tolist() == [
        "duplicate: exact",
        "duplicate: near",
        "labeled",
        "unlabeled",
        "left out by split",
        "left out by split",
    ]
    table = fates_by_group(fate, ingested=ingested, attributes=["veteran"])
    assert table["everybody"].sum() == 6
    assert table["veteran_member"].sum() == 2 and table["veteran_rest"].sum() == 3
    assert group_codes(ingested["veteran"]).tolist() == [1, 0, 0, 1, -1, 0]


def page_of(records, matrix, **changes) -> str:
    evidence, verdict = run(records, matrix, **changes)
    reasons = {"rejected: <script>": 15, **{f"rejected: cause {n}": n for n in range(1, 8)}}
    train = int((records["part"] == "train").sum())
    metrics = {
        "ingest": {"rows": {"read": len(records) + 5, "accepted": len(records)}, "reasons": reasons},
        "dedupe": {"rows_in": len(records), "kept": len(records), "dropped": {"exact": 0}},
        "split": {"parts": {"train": train, "validation": len(records) - train}, "discarded": {}},
        "label": {
            "coverage": 0.9,
            "method": "majority_vote",
            "reason": "because",
            "kappa": 0.8,
            "kappa_low": 0.7,
            "kappa_high": 0.9,
            "accuracy": 0.9,
            "gold_rows": 10,
            "gold_rows_labeled": 9,
            "no_votes": 0.0,
            "ties": 0.1,
            "conflicts": 0.1,
            "rows": len(records),
            "queue_rows": 3,
            "train_rows_labeled": dict.fromkeys(LABELS, train // 3),
            "gold_rows_by_class": dict.fromkeys(LABELS, 3),
        },
        "bias_gate": json.loads(json.dumps(evidence.metrics, allow_nan=False)),
    }
    label = {
        "stage": "label",
        "passed": True,
        "checks": [
            {
                "name": "kappa",
                "limit": 0.7,
                "value": 0.8,
                "interval": [0.7, 0.9],
                "side": "at_least",
                "rows": 9,
                "min_rows": 5,
                "required": True,
                "outcome": "passed",
                "sentence": "s",
                "details": {},
            }
        ],
    }
    return data_report(
        schema=schema(),
        metrics=metrics,
        verdicts=[label, verdict.to_dict()],
        functions=pd.DataFrame(
            [
                {
                    "labeling_function": "finds_ask",
                    "label": "ask",
                    "coverage": 0.3,
                    "overlap": 0.1,
                    "conflict": 0.1,
                    "gold_rows": 3,
                    "accuracy": np.nan,
                    "accuracy_low": np.nan,
                    "accuracy_high": np.nan,
                    **{
                        f"veteran_{what}_{part}": 0.1
                        for what in ("coverage", "accuracy")
                        for part in ("member", "rest", "difference", "difference_low", "difference_high")
                    },
                }
            ]
        ),
        fates=pd.DataFrame([{"fate": "labeled", "everybody": 3, "veteran_member": 1, "veteran_rest": 2}]),
        disparate_impact_limit=0.8,
    )


def test_the_report_is_one_escaped_page_and_the_same_bytes_twice():
    records, matrix = sample()
    matrix[np.ix_((records["veteran"] == 1).to_numpy(), [1, 3])] = -1
    page = page_of(records, matrix)
    assert page == page_of(records, matrix)
    assert "The gate is closed" in page and "finds_grant" in page
    assert "<b>text</b>" not in page and "&lt;b&gt;text" in page
    assert "<script" not in page and "src=" not in page and "http-equiv" not in page
    assert "rejected:  cause 7: 7;" in page and "rejected:  cause 3: 3; 3 for 2 more reasons" in page
    assert "The gate is open" in page_of(*sample())


def test_the_report_of_a_closed_gate_with_nothing_defined_is_written_too():
    records, matrix = sample()
    records["gold"] = pd.array([None] * len(records), dtype="string")
    records["veteran"] = pd.array([None] * len(records), dtype="Int8")
    assert "undefined" in page_of(records, matrix)


def test_parity_table_has_a_row_a_measure_and_group():
    evidence, _ = run(*sample())
    assert len(evidence.parity) == 6
    assert (evidence.parity["low"] <= evidence.parity["rate"]).all()
    assert (evidence.parity["rate"] <= evidence.parity["high"]).all()
