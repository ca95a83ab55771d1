"""Fixtures of the service's tests: the complaints domain, the parameters as they are, apps around a fake model."""

import pytest

from pipelines.live.serve.params import ServeParams
from pipelines.records.domain import Domain
from pipelines.runtime.project import Project
from tests.factories.service import Running, Set


@pytest.fixture(scope="session")
def complaints(repository):
    return Domain(repository / "pipelines" / "domains" / "complaints")


@pytest.fixture(scope="session")
def serve_params(repository) -> ServeParams:
    return Project.open(repository).section("serve", ServeParams)


@pytest.fixture
def make_set(tmp_path, complaints, serve_params):
    def make(*, parameters=None, domain=complaints, **rest):
        params = serve_params.model_copy(update=parameters or {})
        return Set(tmp_path, domain=domain, params=params, **rest)

    return make


@pytest.fixture
def run_app():
    running = []

    def start(app, **more):
        running.append(Running(app, **more))
        return running[-1]

    yield start
    for item in running:
        item.stop()
