"""A registry that cannot be reached is named, and nothing is half released."""

import pytest

from pipelines.__main__ import main
from pipelines.live.release.connection import shown
from pipelines.live.release.history import append_move
from pipelines.live.release.registry import Registry
from pipelines.runtime.errors import InputError, PerennialError
from tests.factories.state import state_root

pytestmark = pytest.mark.slow


@pytest.mark.enable_socket
@pytest.mark.server
@pytest.mark.parametrize("command", [["pin"], ["apply"], ["rollback", "--reason", "it is worse"], ["verify"]])
def test_a_registry_that_does_not_answer(monkeypatch, repository, capsys, command):
    monkeypatch.chdir(repository)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    pinned = (repository / "data" / "champion.json").read_bytes()
    assert main(command) == 1
    message = capsys.readouterr().err
    assert "the registry http://127.0.0.1:9 cannot be reached" in message
    assert "Nothing was released" in message
    assert "secret" not in message
    assert "Traceback" not in message
    assert (repository / "data" / "champion.json").read_bytes() == pinned
    assert not (state_root() / "history.jsonl").exists()


def connect(state, uri):
    return Registry("small", state=state, tracking_uri=uri)


def test_an_unknown_kind_of_address_is_named(tmp_path):
    with pytest.raises(PerennialError, match="the registry carrier-pigeon://loft cannot be reached"):
        connect(tmp_path, "carrier-pigeon://loft")


def test_a_broken_database_is_refused(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(PerennialError, match="cannot be reached"):
        connect(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_two_projects_with_their_own_state_roots_share_nothing(tmp_path):
    one, two = (connect(tmp_path / name, f"sqlite:///{tmp_path / name / 'mlflow.db'}") for name in ("one", "two"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    assert one.register(folder, candidate_digest="d", tags={}, metrics={"macro_f1_reference_recent": 0.7}) == 1
    run = one.client.get_run(one.client.get_model_version("small", "1").run_id)
    assert run.data.metrics == {"macro_f1_reference_recent": 0.7}
    assert (one.version_of("d"), two.version_of("d")) == (1, None)
    assert one.model_folder(1).is_relative_to(tmp_path / "one" / "artifacts")


def test_no_version_number_is_given_twice_and_a_deleted_model_is_named(tmp_path):
    registry, folder = connect(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}"), tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    with pytest.raises(InputError, match="no champion yet"):
        registry.champion()
    assert [registry.register(folder, candidate_digest=name, tags={}) for name in "ab"] == [1, 2]
    registry.client.delete_model_version("small", "2")
    assert registry.register(folder, candidate_digest="c", tags={}) == 3
    append_move(tmp_path, {"model": "small", "action": "release", "from": None, "to": 3})
    registry.client.delete_registered_model("small")
    with pytest.raises(InputError, match=r"version 3 was made champion .* deleted"):
        registry.champion()
    (tmp_path / "mlflow.db").unlink()  # the whole registry is gone
    again = connect(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}?again")
    assert again.register(folder, candidate_digest="d", tags={}) == 4
    assert (again.version_of("d"), again.version_of("a")) == (4, None)


def test_credentials_are_nevershown():
    assert shown("postgresql://user:secret@host/base") == "postgresql://host/base"
    assert shown("sqlite:////tmp/x.db") == "sqlite:////tmp/x.db"


def test_an_empty_registry_has_no_champion(registry):
    assert registry.alias("champion") is None
    assert registry.version_of("0" * 64) is None
