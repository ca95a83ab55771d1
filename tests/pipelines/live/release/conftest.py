"""A real registry for every test, created once and copied."""

import shutil

import pytest

from pipelines.live.release import moves
from pipelines.live.release.connection import connect
from pipelines.live.release.registry import Registry
from tests.factories.small_release import project_of, register_small
from tests.factories.state import state_root


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A database that MLflow has set up: that takes seconds, copying it does not."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{file}")
    return file


@pytest.fixture
def registry(empty_database, tmp_path, monkeypatch):
    """An empty registry in the state root of this test; the working directory is an empty checkout."""
    state_root().mkdir(parents=True)
    shutil.copyfile(empty_database, state_root() / "mlflow.db")
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.setattr(moves, "register_candidate", register_small)
    return Registry.open(project_of())
