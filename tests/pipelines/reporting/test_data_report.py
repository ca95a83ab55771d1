"""The data report: one escaped page, the same bytes twice."""

import dataclasses
import json

import numpy as np
import pandas as pd

from pipelines.reporting.data_report import data_report
from pipelines.reporting.evidence import RunEvidence
from pipelines.runtime.store import to_json
from tests.factories.letters import LABELS, letters, letters_schema, measured


def page_of(records, matrix, *, train_on="weak", **changes) -> str:
    bias, verdict = measured(records, matrix, **changes)
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
            "train_on": train_on,
            "train_rows_by_source": {"gold": 7, "functions": 5},
            "train_rows_labeled": dict.fromkeys(LABELS, train // 3),
            "gold_rows_by_class": dict.fromkeys(LABELS, 3),
        },
        "bias_gate": bias.metrics
        | {
            "domain": dataclasses.asdict(letters_schema()),
            "row_outcomes": [{"outcome": "labeled", "all": 3, "veteran_member": 1, "veteran_rest": 2}],
            "disparate_impact_limit": 0.8,
        },
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
    bias = verdict.to_dict()
    for check in bias["checks"]:  # a check without causes names its attribute too
        if ":" in check["name"] and not check["details"]:
            check["details"] = {"attribute": check["name"].split(":")[1], "reason": "few rows"}
    verdicts = {"label": label, "bias_gate": bias}
    evidence = RunEvidence(json.loads(to_json(metrics)), json.loads(to_json(verdicts)), ())
    return data_report(
        evidence,
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
    )


def test_the_report_is_one_escaped_page_and_the_same_bytes_twice():
    records, matrix = letters()
    matrix[np.ix_((records["veteran"] == 1).to_numpy(), [1, 3])] = -1
    page = page_of(records, matrix)
    assert page == page_of(records, matrix)
    assert "The gate is closed" in page and "finds_grant" in page
    assert "<b>text</b>" not in page and "&lt;b&gt;text" in page
    assert "<script" not in page and "src=" not in page and "http-equiv" not in page
    assert "rejected:  cause 7: 7;" in page and "rejected:  cause 3: 3; 3 rows for 2 other reasons" in page
    assert "The gate is open" in page_of(*letters())


def test_a_closed_gate_with_nothing_defined_has_a_report():
    records, matrix = letters()
    records["gold"] = pd.array([None] * len(records), dtype="string")
    records["veteran"] = pd.array([None] * len(records), dtype="Int8")
    page = page_of(records, matrix)
    assert "The gate is closed" in page and "undecided" in page and "nan" not in page


def test_the_page_states_what_trains() -> None:
    records, matrix = letters()
    for value in ("weak", "gold_where_present", "gold_only"):
        assert f"label.train_on is {value}" in page_of(records, matrix, train_on=value)
