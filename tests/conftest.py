"""Rules for every test: no sockets unless asked for, a private state root, DAG tests only where Airflow is."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
RELEASED = {f"tests/smoke/test_{name}.py" for name in ("kills", "replay", "run", "stale", "version")}
HAS_AIRFLOW = importlib.util.find_spec("airflow") is not None

collect_ignore = [] if HAS_AIRFLOW else ["dags"]
# Two workers share the cores: threads of one that wait busily for each other make tiny networks ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".perennial" / "numba-cache"))  # compiled once, not in each process


@pytest.hookimpl(trylast=True)  # after what `-m` leaves out is gone
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that may take longest begin first, so that no worker is left alone with one at the end."""
    longest: dict[Path, float] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        longest[item.path] = max(longest.get(item.path, 0), limit.args[0] if limit else 0)
    items.sort(key=lambda item: -longest[item.path])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share an expensive fixture share a worker: a file does, and so do the files that use `released`."""
    from xdist.scheduler import LoadFileScheduling

    class ByFixture(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "released" if file in RELEASED else file

    return ByFixture(config, log)


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
    """Return the folder of real data, which is not part of the repository; skip the test, with a reason, without it."""
    folder = Path(os.environ.get("PERENNIAL_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data: {folder} is missing; PERENNIAL_REAL_DATA names the folder")
    return folder
