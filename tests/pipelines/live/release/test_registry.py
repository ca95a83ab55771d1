"""A registry that cannot be reached is named within seconds, and nothing is half released."""

import time

import pytest

from pipelines.live.release.__main__ import main
from pipelines.live.release.registry import Registry, _shown
from pipelines.runtime.errors import PerennialError
from pipelines.runtime.state import home

pytestmark = pytest.mark.slow


@pytest.mark.enable_socket
@pytest.mark.server
@pytest.mark.parametrize("command", [["pin"], ["apply"], ["rollback", "--reason", "it is worse"], ["verify"]])
def test_a_registry_that_does_not_answer(monkeypatch, repository, capsys, command):
    monkeypatch.chdir(repository)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    pinned = (repository / "data" / "champion.json").read_bytes()
    began = time.monotonic()
    assert main(command) == 1
    assert time.monotonic() - began < 60
    told = capsys.readouterr().err
    assert "the registry http://127.0.0.1:9 cannot be reached" in told
    assert "Nothing was released" in told
    assert "secret" not in told
    assert "Traceback" not in told
    assert (repository / "data" / "champion.json").read_bytes() == pinned
    assert not (home() / "history.jsonl").exists()


def test_an_address_of_nothing_known(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "carrier-pigeon://loft")
    with pytest.raises(PerennialError, match="the registry carrier-pigeon://loft cannot be reached"):
        Registry("small")


def test_a_database_that_is_none(monkeypatch, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(PerennialError, match="cannot be reached"):
        Registry("small")


def test_credentials_are_never_shown():
    assert _shown("postgresql://user:secret@host/base") == "postgresql://host/base"
    assert _shown("sqlite:////tmp/x.db") == "sqlite:////tmp/x.db"


def test_an_empty_registry_has_no_champion(registry):
    assert registry.alias("champion") is None
    assert registry.version_of("0" * 64) is None
