"""A state root that is moved or copied keeps its releases: artifacts are found where they are now."""

import shutil
from pathlib import Path

import pytest

from pipelines.live.release.registry import EXPERIMENT, Registry
from pipelines.runtime.errors import InputError
from pipelines.runtime.places import sqlite_address
from tests.factories.small_release import MODEL_NAME, register_small

pytestmark = pytest.mark.slow

HOSTILE = "Büro & c# samples, 50% done/what? [x] 名前's $HOME"


def open_at(state, *, store=None):
    return Registry(MODEL_NAME, state=state, tracking_uri=sqlite_address((store or state) / "mlflow.db"))


def register(registry, digest):
    return register_small(None, registry, {"model_digest": digest})[0]


@pytest.fixture
def states(empty_database, tmp_path):
    """A state root with one version, and a place that it can be moved or copied to."""
    old, new = tmp_path / "old", tmp_path / HOSTILE
    old.mkdir()
    new.parent.mkdir()
    shutil.copyfile(empty_database, old / "mlflow.db")
    register(open_at(old), "first")
    return old, new


def addresses(registry):
    """Every address of artifacts that MLflow knows."""
    versions = registry.client.search_model_versions("")
    runs = [registry.client.get_run(version.run_id).info.artifact_uri for version in versions]
    return [
        registry.client.get_experiment_by_name(EXPERIMENT).artifact_location,
        *(version.source for version in versions),
        *runs,
    ]


def test_a_moved_state_root_finds_its_versions_and_takes_new_ones(states):
    old, new = states
    old.rename(new)
    moved = open_at(new)
    assert moved.package(1).is_relative_to(new)
    assert register(moved, "second") == 2
    assert moved.package(2).is_relative_to(new / "artifacts")
    assert not old.exists()
    assert all(address.startswith((new / "artifacts").as_uri()) for address in addresses(moved))
    new.rename(old)  # and back
    assert open_at(old).package(2).is_relative_to(old)


def test_a_copy_uses_its_own_artifacts_and_leaves_the_original_alone(states):
    old, new = states
    shutil.copytree(old, new)
    before = {path: path.stat().st_mtime_ns for path in old.rglob("*")}
    copied = open_at(new)
    assert copied.package(1).is_relative_to(new)
    copied.relocate()
    register(copied, "second")
    assert {path: path.stat().st_mtime_ns for path in old.rglob("*")} == before
    shutil.rmtree(new / "artifacts")
    with pytest.raises(InputError):  # never those of the original
        open_at(new).package(1)


def test_a_store_that_state_roots_share_keeps_its_addresses(states):
    old, new = states
    new.mkdir()
    other = open_at(new, store=old)
    assert other.package(1).is_relative_to(old)
    other.relocate()
    assert all(address.startswith((old / "artifacts").as_uri()) for address in addresses(other))


def test_a_folder_that_someone_chose_for_artifacts_is_kept(empty_database, tmp_path):
    state, chosen = tmp_path / "state", tmp_path / "volume"
    state.mkdir()
    shutil.copyfile(empty_database, state / "mlflow.db")
    registry = open_at(state)
    registry.client.create_experiment(EXPERIMENT, artifact_location=chosen.as_uri())
    register(registry, "first")
    assert Path(registry.package(1)).is_relative_to(chosen)
