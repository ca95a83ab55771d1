"""Training in the scenario's checkout: what is shown of a run that failed."""

from pipelines.live.loop.training import reason_of


def test_a_failed_training_shows_its_cause_and_not_the_summary_after_it():
    lines = [
        "Running stage 'evaluate':",
        "evaluate: params.yaml is wrong",
        "ERROR: failed to reproduce",
        *"abcdefghijk",
    ]
    assert reason_of(lines) == lines[:3]
    assert reason_of(list("abc")) == list("abc")
