"""A real registry of its own for every test, made once and copied."""

import shutil

import pytest

from pipelines.live.release import moves
from pipelines.live.release.registry import Registry, connect
from pipelines.runtime.state import home
from tests.pipelines.live.release.small import MODEL_NAME, register_small


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A database that MLflow has set up: that takes seconds, copying it does not."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{file}")
    return file


@pytest.fixture
def registry(empty_database, tmp_path, monkeypatch):
    """An empty registry in the state root of this test; the working directory is an empty checkout."""
    home().mkdir(parents=True)
    shutil.copyfile(empty_database, home() / "mlflow.db")
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.setattr(moves, "_register", register_small)
    return Registry(MODEL_NAME)
