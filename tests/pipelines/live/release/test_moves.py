"""The champion alias moves once, with one line, to a version whose files are whole; and back again."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from pipelines.live.release import moves
from pipelines.live.release.history import user_name
from pipelines.live.release.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from pipelines.runtime.errors import GateClosed, InputError, StoreError
from tests.conftest import ROOT
from tests.factories.small_release import DECISION, MODEL_NAME, apply, decide, history_lines, project_of, release, steps
from tests.factories.state import state_root

pytestmark = pytest.mark.slow


def versions(registry):
    return sorted(int(item.version) for item in registry.client.search_model_versions(f"name = '{MODEL_NAME}'"))


def aliases(registry):
    return {name: registry.alias(name) for name in (CHAMPION, CHALLENGER, PREVIOUS)}


def test_the_same_candidate_twice_is_one_version_and_one_line(registry):
    decide(registry, "a")
    first, second = apply(registry), apply(registry)
    assert (first["version"], first["moved"]) == (1, True)
    assert (second["version"], second["moved"]) == (1, False)
    assert versions(registry) == [1]
    assert steps() == [("release", None, 1)]
    assert history_lines()[0]["who"]


def test_rollbacks_go_back_through_the_champions(registry):
    release(registry, "a", "b", "c")
    assert aliases(registry) == {CHAMPION: 3, CHALLENGER: None, PREVIOUS: 2}
    moves.rollback(registry, reason="c is worse on cards")
    assert aliases(registry) == {CHAMPION: 2, CHALLENGER: None, PREVIOUS: 1}
    moves.rollback(registry, reason="b is worse as well")
    assert aliases(registry) == {CHAMPION: 1, CHALLENGER: None, PREVIOUS: None}
    with pytest.raises(InputError, match="no champion before version 1"):
        moves.rollback(registry, reason="and even this one")
    assert steps()[3:] == [("rollback", 3, 2), ("rollback", 2, 1)]


def test_a_rollback_after_a_new_release_skips_what_was_rolled_back(registry):
    release(registry, "a", "b")
    moves.rollback(registry, reason="b is worse")
    release(registry, "c")
    assert aliases(registry)[PREVIOUS] == 1
    assert moves.rollback(registry, reason="c is worse too")["version"] == 1


def test_a_version_that_was_rolled_back_is_released_again_only_on_request(registry):
    release(registry, "a", "b")
    moves.rollback(registry, reason="b is worse on cards")
    decide(registry, "b")
    kept = apply(registry)
    assert (kept["action"], kept["version"]) == ("keep", 1)
    assert "rolled back (b is worse on cards)" in kept["reason"]
    assert aliases(registry)[CHAMPION] == 1
    assert apply(registry, again=True)["moved"]
    assert aliases(registry)[CHAMPION] == 2
    decide(registry, "b")
    assert apply(registry)["action"] == "release", "it is champion again"


def test_a_decision_against_another_champion_is_refused(registry):
    release(registry, "a")
    decide(registry, "c")
    late = DECISION.read_text()
    release(registry, "b")
    DECISION.write_text(late)
    with pytest.raises(
        GateClosed, match="compared the candidate with champion version 1, but the registry has champion version 2"
    ):
        apply(registry)
    assert aliases(registry)[CHAMPION] == 2
    assert versions(registry) == [1, 2], "nothing was registered either"
    DECISION.write_text(late.replace('"version": 1', '"version": 7'))
    with pytest.raises(GateClosed, match="Run again"):
        apply(registry)


def test_a_decision_against_a_champion_that_is_gone_is_refused(registry):
    decide(registry, "a")
    file = DECISION
    file.write_text(file.read_text().replace('"champion": null', '"champion": {"version": 7}'))
    with pytest.raises(GateClosed, match="with champion version 7, but the registry has no champion now"):
        apply(registry)
    assert versions(registry) == []


def test_without_a_champion_there_is_nothing_to_roll_back(registry):
    with pytest.raises(InputError, match="no champion yet"):
        moves.rollback(registry, reason="it feels wrong")


@pytest.mark.parametrize("reason", ["", "   ", "bad"])
def test_a_rollback_needs_a_reason(registry, reason):
    with pytest.raises(InputError, match="a rollback needs at least 5 letters"):
        moves.rollback(registry, reason=reason)


@pytest.mark.parametrize("action", ["keep", "refuse"])
def test_keep_and_refuse_move_nothing(registry, action):
    release(registry, "a")
    decide(registry, "b", action=action, passed=action == "keep")
    assert apply(registry)["action"] == action
    assert aliases(registry)[CHAMPION] == 1
    assert versions(registry) == [1]
    assert len(history_lines()) == 1


def test_a_closed_gate_stops_a_decision_that_was_edited(registry):
    decide(registry, "a", action="refuse", passed=False)
    file = DECISION
    file.write_text(file.read_text().replace('"refuse"', '"release"'))
    with pytest.raises(GateClosed, match=r"(?s)promote.*sound"):
        apply(registry)
    assert versions(registry) == []


@pytest.mark.chaos
@pytest.mark.parametrize("point", ["before_alias", "before_line", "after_line"])
@pytest.mark.parametrize("champions", [["a"], ["a", "b"]], ids=["first", "second"])
def test_a_killed_release_is_finished_by_the_next(registry, point, champions):
    release(registry, *champions[:-1])
    decide(registry, champions[-1])
    command = [sys.executable, "-m", "tests.factories.small_release", point]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    done = apply(registry)
    n = len(champions)
    assert done["version"] == n
    assert versions(registry) == list(range(1, n + 1))
    assert aliases(registry) == {CHAMPION: n, CHALLENGER: None, PREVIOUS: n - 1 or None}
    assert steps() == [("release", None, 1), ("release", 1, 2)][:n]
    apply(registry)
    assert len(history_lines()) == n


def package_file(registry, version, name):
    return registry.model_folder(version) / "artifacts" / "package" / name


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model/weights", "other", r"model/weights has sha256 \w+, its manifest has \w+: it was changed; refused"),
        ("model/encoder/model.safetensors", "other", r"encoder/model.safetensors has sha256 \w+, its manifest has"),
        ("model/weights", None, "model/weights is missing; refused"),
        ("model/extra.py", "import os", "model/extra.py was added; refused"),
        ("manifest.json", None, "manifest.json is missing; the version is not complete"),
        ("manifest.json", "{", "manifest.json is broken"),
        ("../../MLmodel", "flavors: {evil}", "manifest.json or the code next to it was changed; refused"),
        ("../../code/pipelines/models/predictor.py", "import os", "the code next to it was changed; refused"),
    ],
)
def test_a_version_whose_files_were_changed_is_refused(registry, name, change, message):
    release(registry, "a", "b")
    file = package_file(registry, 1, name)
    if change is None:
        file.unlink()
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(change)
    with pytest.raises(InputError, match=message):
        moves.rollback(registry, reason="b is worse")
    decide(registry, "a")
    with pytest.raises(InputError, match=message):
        apply(registry)
    assert aliases(registry)[CHAMPION] == 2
    assert len(history_lines()) == 2


def test_a_file_and_its_manifest_changed_together_are_refused(registry):
    release(registry, "a", "b")
    package_file(registry, 1, "model/weights").write_text("other")
    file = package_file(registry, 1, "manifest.json")
    manifest = json.loads(file.read_text())
    manifest["files"]["model/weights"] = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
    file.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"the registry has \w+: manifest.json or the code next to it was changed"):
        moves.rollback(registry, reason="b is worse")


def test_missing_artifacts_are_reported(registry):
    import shutil

    release(registry, "a", "b")
    shutil.rmtree(registry.model_folder(1))
    with pytest.raises(InputError, match="version 1 of small: its artifacts are missing"):
        moves.rollback(registry, reason="b is worse")
    assert aliases(registry)[CHAMPION] == 2


@pytest.mark.parametrize(
    "tamper",
    [
        lambda lines: [lines[0].replace('"to": 1', '"to": 7'), *lines[1:]],
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0]],
    ],
    ids=["changed", "removed", "swapped"],
)
def test_a_tampered_history_stops_every_move(registry, tamper):
    release(registry, "a", "b")
    file = state_root() / "history.jsonl"
    file.write_text("\n".join(tamper(file.read_text().splitlines())) + "\n")
    with pytest.raises(StoreError, match=r"history\.jsonl, line 1: the chain of hashes is broken"):
        moves.rollback(registry, reason="b is worse")
    decide(registry, "c")
    with pytest.raises(StoreError, match="chain of hashes is broken"):
        apply(registry)
    assert aliases(registry)[CHAMPION] == 2


def test_a_challenger_waits_for_its_canary_and_becomes_champion(registry):
    decide(registry, "a")
    assert (
        apply(registry, through_canary=True)["action"] == "release"
    )  # the first version has no champion to be compared with
    decide(registry, "b")
    assert apply(registry, through_canary=True)["action"] == "challenge"
    assert aliases(registry) == {CHAMPION: 1, CHALLENGER: 2, PREVIOUS: None}
    assert len(history_lines()) == 1
    assert moves.complete_canary(registry, version=2, reason="not worse over 1000 pairs")["action"] == "release"
    assert aliases(registry) == {CHAMPION: 2, CHALLENGER: None, PREVIOUS: 1}
    assert moves.complete_canary(registry, version=2, reason="once more")["action"] == "none"
    assert steps() == [("release", None, 1), ("release", 1, 2)]


def test_a_stopped_challenger_leaves_and_is_not_tried_again(registry):
    release(registry, "a")
    decide(registry, "b")
    apply(registry, through_canary=True)
    assert moves.stop_canary(registry, version=2, reason="worse on late labels")["action"] == "stop"
    assert aliases(registry) == {CHAMPION: 1, CHALLENGER: None, PREVIOUS: None}
    assert moves.stop_canary(registry, version=2, reason="worse on late labels")["action"] == "none"
    again = apply(registry, through_canary=True)
    assert (again["action"], again["version"]) == ("keep", 1)
    assert "its canary was stopped" in again["reason"]
    assert aliases(registry)[CHALLENGER] is None


def test_the_history_names_who_moved_the_alias(registry):
    release(registry, "a")
    assert history_lines()[0]["who"] == user_name()
    release(Registry.open(replace(project_of(), environment={"PERENNIAL_ACTOR": "drift_watch"})), "b")
    assert history_lines()[1]["who"] == "drift_watch"


def test_a_user_without_a_name_is_a_number(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert user_name() == "uid 54321"
