"""A decision is carried out only as `promote` wrote it, and counted once."""

import hashlib
import json

import pytest

from pipelines.live.release.decision import count_decision, decisions_made, read_decision
from pipelines.runtime.errors import GateClosed
from tests.factories.projects import make_project

DECISION = {"action": "keep", "candidate": "baseline", "reason": "no better", "model_digest": "d" * 64}


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def write(project, content):
    project.store.write_text("promote", "decision.json", content)
    return project.store.folder / "promote" / "decision.json"


def test_a_decision_is_read(project):
    write(project, json.dumps(DECISION))
    assert read_decision(project) == DECISION


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing: nothing was decided"),
        ("{", "is broken"),
        ('{"action": "release"}', "is broken"),
        ("[]", "is broken"),
        (json.dumps({**DECISION, "action": "go"}), "invalid action 'go'"),
    ],
)
def test_an_invalid_decision_is_refused(project, content, message):
    if content is not None:
        write(project, content)
    with pytest.raises(GateClosed, match=message):
        read_decision(project)


def test_an_edited_decision_is_not_what_promote_wrote(project):
    file = write(project, json.dumps(DECISION))
    digest = hashlib.md5(file.read_bytes()).hexdigest()
    lock = f"stages:\n  promote:\n    outs:\n    - path: data/promote/decision.json\n      md5: {digest}\n"
    (project.root / "dvc.lock").write_text(lock)
    assert read_decision(project)["action"] == "keep"
    write(project, json.dumps({**DECISION, "action": "release"}))
    with pytest.raises(GateClosed, match="is not what `promote` wrote"):
        read_decision(project)


def test_a_lock_file_without_stages_knows_no_decision(project):
    write(project, json.dumps(DECISION))
    (project.root / "dvc.lock").write_text("schema: '2.0'\n")
    with pytest.raises(GateClosed, match="is not what `promote` wrote"):
        read_decision(project)


def test_each_comparison_counts_once(tmp_path):
    for decision in (DECISION, DECISION, {**DECISION, "champion": {"version": 1}}):
        count_decision(tmp_path, "m", decision)
    count_decision(tmp_path, "other", DECISION)
    assert decisions_made(tmp_path, "m") == 2
