"""A change makes the stages stale that use what changed, and no other: asked of DVC itself."""

import json

import pytest

from tests.factories.checkout import output_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]

UNTOUCHED: set[str] = set()
CHANGES = {
    "pipelines/reporting": UNTOUCHED,
    "pipelines/monitoring": UNTOUCHED,
    "pipelines/live/release": UNTOUCHED,
    "pipelines/live/serve": UNTOUCHED,
    "pipelines/live/drift": UNTOUCHED,
    "pipelines/text": {"dedupe", "split", "bias_gate", "baseline", "promote"},
    "pipelines/profile": {"promote"},
    "pipelines/training": {"baseline", "finetune", "evaluate"},
}


@pytest.mark.parametrize("folder", CHANGES)
def test_a_change_makes_only_its_users_stale(released, folder):
    files = [file for file in sorted((released.root / folder).rglob("*")) if file.suffix in (".py", ".j2", ".css")]
    assert files
    before = {file: file.read_bytes() for file in files}
    try:
        for file in files:
            file.write_bytes(before[file] + b"\n")
        answer = released.dvc("status", "--json")
    finally:
        for file, content in before.items():
            file.write_bytes(content)
    assert answer.returncode == 0, output_of(answer)
    changes = json.loads(answer.stdout).items()
    stale = {name for name, found in changes if name in released.graph() and found != ["always changed"]}
    assert stale == CHANGES[folder]
