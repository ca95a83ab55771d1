"""A light DVC repository with DAGs for every test of this folder; needs both environments."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from light_repository import TOOLS, LightRepository


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the orchestrator's environment."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.airflow)


@pytest.fixture(scope="session")
def _templates(tmp_path_factory: pytest.TempPathFactory) -> LightRepository:
    if not (TOOLS / "dvc").exists():
        pytest.skip("the pipeline environment is not there: make setup")
    template = LightRepository(tmp_path_factory.mktemp("light")).make()
    template.database()
    return template


@pytest.fixture
def light(_templates: LightRepository, tmp_path: Path) -> LightRepository:
    """A fresh light repository, with an Airflow database that is ready."""
    return copy_of(_templates, tmp_path / "light")


@pytest.fixture
def another(_templates: LightRepository, tmp_path: Path) -> Callable[[str], LightRepository]:
    """Makes further light repositories."""
    return lambda name: copy_of(_templates, tmp_path / name)


def copy_of(template: LightRepository, folder: Path) -> LightRepository:
    """A copy of the template in another folder."""
    made = LightRepository(folder)
    shutil.copytree(template.origin, made.origin, symlinks=True)
    made.database(template.airflow / "airflow.db")
    return made


@pytest.fixture
def project(light: LightRepository, monkeypatch: pytest.MonkeyPatch):
    """The light repository as the operators see it, in this process."""
    from orchestration.project import Project

    for name, value in light.environment.items():
        if name.startswith("LIGHT_"):
            monkeypatch.setenv(name, value)
    return Project.from_environment("LIGHT", root=light.origin)
