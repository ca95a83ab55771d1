"""Row outcomes: every accepted record has exactly one."""

import pandas as pd

from pipelines.stages.bias_gate.row_outcomes import outcomes_by_group, row_outcomes
from pipelines.stats.fairness import group_codes


def test_every_accepted_record_has_one_outcome():
    ingested = pd.DataFrame({"id": list("abcdef"), "veteran": pd.array([1, 0, 0, 1, None, 0], dtype="Int8")})
    dropped = pd.DataFrame({"id": ["a", "b"], "reason": ["exact", "near"]})
    outcomes = row_outcomes(ingested, dropped=dropped, split_ids=["c", "d", "anchor-of-old"], labeled_ids=["c"])
    assert outcomes.tolist() == [
        "duplicate: exact",
        "duplicate: near",
        "labeled",
        "unlabeled",
        "left out by split",
        "left out by split",
    ]
    table = pd.DataFrame(outcomes_by_group(outcomes, ingested=ingested, attributes=["veteran"]))
    assert table["all"].sum() == 6
    assert table["veteran_member"].sum() == 2 and table["veteran_rest"].sum() == 3
    assert group_codes(ingested["veteran"]).tolist() == [1, 0, 0, 1, -1, 0]
