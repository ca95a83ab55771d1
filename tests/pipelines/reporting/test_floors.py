"""Missing limits and classes that are never found are stated."""

import pytest

from pipelines.reporting.floors import floors_sentence, never_found

FOUND = {"recent": {"f1": {"a": 0.9, "b": 0.2, "c": 0.0}}, "anchor": {"f1": {"a": 0.8, "b": 0.0, "c": None}}}
ALL = {part: {"f1": {"a": 0.9, "b": 0.4}} for part in ("recent", "anchor")}


def test_a_class_is_never_found_if_it_is_answered_right_in_neither_test_set():
    assert never_found(FOUND) == ["c"] and never_found(ALL) == []
    assert never_found({"recent": {"f1": {"a": None}}, "anchor": {}}) == []


@pytest.mark.parametrize(
    ("scores", "checks", "parts"),
    [
        (ALL, ["recent_macro_f1"], []),
        (ALL, ["recent_macro_f1_above_prior"], ["evaluate.min_scores"]),
        (FOUND, ["recent_accuracy"], [": c.", "lowest recall"]),
        (FOUND, ["recent_lowest_recall"], [": c."]),
        (FOUND, [], ["evaluate.max_losses", ": c."]),
    ],
)
def test_what_no_check_required_is_stated(scores, checks, parts):
    sentence = floors_sentence(scores, [{"name": name} for name in checks])
    assert bool(sentence) is bool(parts) and all(part in sentence for part in parts)
    assert ("lowest recall" in sentence) is ("lowest recall" in parts or (scores is FOUND and not checks))
