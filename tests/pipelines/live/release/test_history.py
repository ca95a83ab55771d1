"""The history as a stack: a release goes on top, a rollback takes the present champion off."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.live.release.history import append_move, champions, history_file, read_history
from pipelines.runtime.errors import StoreError


def line(action, to):
    return {"action": action, "to": to}


@given(st.lists(st.booleans(), max_size=30))
def test_champions_are_a_stack(releases):
    moves, stack, version = [], [], 0
    for is_release in releases:
        if is_release:
            version += 1
            stack.append(version)
            moves.append(line("release", version))
        elif len(stack) > 1:
            stack.pop()
            moves.append(line("rollback", stack[-1]))
    assert champions(moves) == stack


def test_a_release_of_the_present_champion_adds_nothing():
    assert champions([line("release", 1), line("release", 1)]) == [1]


def test_a_rollback_to_an_unknown_version_starts_over():
    assert champions([line("release", 5), line("rollback", 3)]) == [3]


def record(state, version, *, model="m", old=None):
    move = {"model": model, "action": "release", "from": old, "to": version, "why": "why", "who": "me", "evidence": {}}
    return append_move(state, move)


def test_models_share_the_file_and_not_the_lines(tmp_path):
    record(tmp_path, 1)
    record(tmp_path, 1, model="other")
    record(tmp_path, 2, old=1)
    assert [move["to"] for move in read_history(tmp_path, "m")] == [1, 2]
    assert len(history_file(tmp_path).read_text().splitlines()) == 3


def test_a_line_cut_by_a_crash_is_ignored_and_then_replaced(tmp_path):
    record(tmp_path, 1)
    with history_file(tmp_path).open("a") as file:
        file.write('{"model": "m", "act')
    assert len(read_history(tmp_path, "m")) == 1
    record(tmp_path, 2, old=1)
    assert [move["to"] for move in read_history(tmp_path, "m")] == [1, 2]


@pytest.mark.parametrize("field", ["who", "when", "why", "to", "evidence"])
def test_no_field_can_be_changed(tmp_path, field):
    record(tmp_path, 1)
    record(tmp_path, 2, old=1)
    file = history_file(tmp_path)
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    lines[1][field] = "changed"
    file.write_text("".join(json.dumps(item, sort_keys=True) + "\n" for item in lines))
    with pytest.raises(StoreError, match="line 2: the chain of hashes is broken"):
        read_history(tmp_path, "m")
