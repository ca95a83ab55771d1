"""Rules for every test: no sockets unless asked for, a private state root, DAG tests only where Airflow is."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HAS_AIRFLOW = importlib.util.find_spec("airflow") is not None

collect_ignore = [] if HAS_AIRFLOW else ["dags"]


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest):
    """Refuse sockets in unit tests; a test that starts a server asks with `enable_socket` and stays on the loopback."""
    if importlib.util.find_spec("pytest_socket") is None:
        yield
        return
    import pytest_socket

    if request.node.get_closest_marker("enable_socket"):
        pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
    else:
        pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()
    pytest_socket._remove_restrictions()


@pytest.fixture(autouse=True)
def _private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No test writes into the checkout's own state root."""
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "perennial-home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the repository under test."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data that is no part of the repository; without it the test is skipped, saying so."""
    folder = Path(os.environ.get("PERENNIAL_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data: there is no folder {folder}; name one with PERENNIAL_REAL_DATA")
    return folder
