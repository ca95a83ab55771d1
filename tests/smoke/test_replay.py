"""A replay of a revision on another machine moves nothing in the registry that both know."""

import pytest

from tests.factories.checkout import output_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]


def state(client):
    """Every version and alias of the registry."""
    return [
        (model.name, dict(model.aliases), [version.version for version in client.search_model_versions("")])
        for model in client.search_registered_models()
    ]


def test_a_replay_with_a_shared_registry_changes_nothing_there(released, tmp_path):
    from pipelines.live.release.connection import connect

    shared = f"sqlite:///{released.home / 'mlflow.db'}"
    before = state(connect(shared))
    assert before
    assert before[0][1] == {"champion": 1}
    other = released.copy(tmp_path)
    for stage in ("finetune", "promote"):
        answer = other.dvc("repro", "--no-run-cache", "--force", "--single-item", stage, MLFLOW_TRACKING_URI=shared)
        assert answer.returncode == 0, output_of(answer)
    assert other.digests() == released.digests()
    assert state(connect(shared)) == before
    assert not (other.home / "history.jsonl").exists()
