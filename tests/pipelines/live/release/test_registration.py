"""What a registered version's MLflow run shows."""

from pipelines.live.release.registration import macro_f1_scores


def test_the_run_shows_both_candidates_and_the_reference():
    part = {"recent": {"macro_f1": 0.9}, "anchor": {"macro_f1": 0.8}}
    evaluated = {
        "baseline": part,
        "finetune": part,
        "reference": {"recent": {"macro_f1": 0.7}, "anchor": {"macro_f1": None}},
    }
    found = macro_f1_scores(evaluated)
    assert found["macro_f1_reference_recent"] == 0.7
    assert "macro_f1_reference_anchor" not in found, "undefined numbers are left out"
    assert len(found) == 5
