"""Every kind of tampering with registry, history and files is found, and the finding names it."""

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.live.release import moves
from pipelines.live.release.digests import files_digest
from pipelines.live.release.history import append_move, history_file
from pipelines.live.release.package import file_digests
from pipelines.live.release.registry import CHAMPION, FILES_TAG, HEAD_TAG, SIGNATURE_TAG, Registry
from pipelines.live.release.verification import verify
from pipelines.runtime.errors import InputError, PerennialError, StoreError
from pipelines.runtime.signing import VARIABLE
from pipelines.runtime.state import chain_hash
from pipelines.runtime.store import file_digest, to_json
from tests.factories.keys import key_files
from tests.factories.small_release import MODEL_NAME, history_lines, project_of, release
from tests.factories.state import state_root

pytestmark = pytest.mark.slow
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def checks(project=None):
    """Return the checks that have findings."""
    return [found["check"] for found in verify(project or project_of(), now=NOW).findings]


def in_database(statement, *values):
    with closing(sqlite3.connect(state_root() / "mlflow.db")) as base, base:
        assert base.execute(statement, values).rowcount == 1


def write_history(lines):
    history_file(state_root()).write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))


def rechained(lines):
    """Return lines without signatures in a chain that is consistent again."""
    previous = "0" * 64
    for line in lines:
        line.pop("signature", None)
        line["previous"] = previous
        line["hash"] = previous = chain_hash(line)
    return lines


def rewrite_model(registry, version):
    """Change the weights, and everything in the package and the registry that names their digest."""
    model = registry.model_folder(version)
    package = model / "artifacts" / "package"
    (package / "model" / "weights").write_text("of an attacker")
    manifest = json.loads((package / "manifest.json").read_text())
    (package / "manifest.json").unlink()
    (package / "manifest.json").write_bytes(to_json({**manifest, "files": file_digests(package)}))
    registry.client.set_model_version_tag(MODEL_NAME, str(version), FILES_TAG, files_digest(model))


def signed_project(tmp_path, *, public=False, name="key"):
    """Return the project with a key, which is made at the first call."""
    private = tmp_path / f"{name}.pem"
    files = (private, tmp_path / f"{name}.pub.pem") if private.exists() else key_files(tmp_path, name=name)
    return replace(project_of(), environment={VARIABLE: str(files[public])})


def test_nothing_is_found_in_an_empty_and_in_an_untouched_registry(registry):
    assert verify(project_of(), now=NOW).content() == {
        "history_lines": 0, "champion": None, "signed": False, "intact": True,
    }  # fmt: skip
    release(registry, "a", "b")
    moves.rollback(registry, reason="worse on cards")
    verified = verify(project_of(), now=NOW)
    assert (verified.history_lines, verified.champion, verified.findings) == (3, 1, [])


def test_a_history_whose_last_line_is_removed(registry):
    release(registry, "a", "b")
    write_history(history_lines()[:-1])
    assert checks() == ["history", "alias"]


def test_a_history_without_its_last_lines_that_fits_the_alias(registry):
    release(registry, "a", "b")
    moves.rollback(registry, reason="worse on cards")
    write_history(history_lines()[:1])  # version 1 is champion in both
    assert checks() == ["history"]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_history_that_is_emptied_or_deleted(registry, deleted):
    release(registry, "a")
    history_file(state_root()).unlink() if deleted else write_history([])
    assert checks() == ["history"]
    registry.client.delete_registered_model_tag(MODEL_NAME, HEAD_TAG)  # an attacker removes the note too
    assert checks() == ["history"]


def test_a_history_that_was_written_again(registry):
    release(registry, "a", "b")
    lines = history_lines()
    lines[1]["who"] = "somebody else"
    write_history(lines)
    assert checks() == ["history", "files", "files"]  # no file can be compared with a history that is not intact
    write_history(rechained(lines))
    assert checks() == ["history"]


def test_an_alias_that_was_moved_in_the_database_only(registry):
    release(registry, "a", "b")
    in_database("update registered_model_aliases set version = 1 where alias = 'champion'")
    assert checks() == ["alias"]
    assert moves.restore(registry) == {"action": "restore", "version": 2, "previous": 1, "moved": True}
    assert checks() == []


def test_an_alias_that_is_gone_is_restored(registry):
    release(registry, "a", "b")
    registry.client.delete_registered_model_alias(MODEL_NAME, CHAMPION)
    (finding,) = verify(project_of(), now=NOW).findings
    assert finding["check"] == "alias"
    assert "python -m pipelines restore" in finding["message"]
    moves.restore(registry)
    assert checks() == []


def test_an_alias_to_a_version_that_does_not_exist(registry):
    release(registry, "a")
    in_database("update registered_model_aliases set version = 7 where alias = 'champion'")
    assert checks() == ["alias", "alias"]


def test_a_database_that_was_deleted_is_not_created(registry):
    release(registry, "a")
    (state_root() / "mlflow.db").unlink()
    assert checks() == ["registry"]
    assert not (state_root() / "mlflow.db").exists()


def test_a_model_that_was_rewritten_with_all_its_digests_is_found_and_not_used(registry):
    release(registry, "a")
    rewrite_model(registry, 1)
    assert checks() == ["files"]
    with pytest.raises(InputError, match="rewritten after its release"):
        registry.package(1)


def test_a_release_that_was_never_recorded(registry):
    folder = state_root() / "runs" / "unrecorded"
    folder.mkdir(parents=True)
    for name, began in (("old", NOW - timedelta(hours=2)), ("young", NOW - timedelta(minutes=2))):
        file = folder / f"{name}.json"
        file.write_text(json.dumps({"dag_id": "retrain", "run_id": name}))
        os.utime(file, (began.timestamp(),) * 2)
    (finding,) = verify(project_of(), now=NOW).findings
    assert finding["check"] == "unrecorded"
    assert "run old of retrain" in finding["message"]
    (folder / "young.json").write_text("[")
    assert checks() == ["unrecorded", "unrecorded"]


def test_a_state_root_of_an_earlier_release_has_no_note(registry):
    release(registry, "a", "b")
    registry.client.delete_registered_model_tag(MODEL_NAME, HEAD_TAG)
    assert checks() == []


def test_with_a_key_everything_is_signed_and_the_public_half_checks_it(registry, tmp_path):
    project = signed_project(tmp_path)
    release(Registry.open(project), "a", "b")
    assert all(line["signature"] for line in history_lines())
    for known in (project, signed_project(tmp_path, public=True)):
        verified = verify(known, now=NOW)
        assert (verified.signed, verified.findings) == (True, [])
        assert Registry.open(known).champion() == 2
    assert checks() == []  # without the key
    assert checks(signed_project(tmp_path, name="other")) == ["history", "files", "files"]


def test_with_a_key_a_consistent_forgery_is_found_and_not_used(registry, tmp_path):
    keyed = Registry.open(signed_project(tmp_path))
    release(keyed, "a", "b")
    rewrite_model(keyed, 2)
    lines = history_lines()
    manifest = keyed.model_folder(2) / "artifacts" / "package" / "manifest.json"
    lines[1]["evidence"]["manifest"] = file_digest(manifest)
    write_history(rechained(lines))
    registry.note_head(registry.history())
    assert checks() == []  # without a key it cannot be found
    assert checks(signed_project(tmp_path)) == ["history", "files", "files"]
    with pytest.raises(StoreError):
        keyed.champion()
    with pytest.raises(PerennialError):
        keyed.package(2)


def test_with_a_key_an_unsigned_version_and_a_moved_alias_are_refused(registry, tmp_path):
    keyed = Registry.open(signed_project(tmp_path))
    release(keyed, "a", "b")
    in_database("update registered_model_aliases set version = 1 where alias = 'champion'")
    with pytest.raises(InputError, match="restore"):
        keyed.champion()
    with pytest.raises(InputError, match="restore"):
        moves.reconcile(keyed)
    moves.restore(keyed)
    keyed.client.delete_model_version_tag(MODEL_NAME, "2", SIGNATURE_TAG)
    assert checks(signed_project(tmp_path)) == ["files"]
    with pytest.raises(InputError, match="unsigned"):
        keyed.package(2)


def test_what_was_released_without_a_key_is_signed_once(registry, tmp_path):
    release(registry, "a", "b")
    project = signed_project(tmp_path)
    assert checks(project) == ["history", "files", "files"]
    with pytest.raises(InputError, match="private key"):
        moves.sign(Registry.open(signed_project(tmp_path, public=True)))
    assert moves.sign(Registry.open(project))["versions"] == [1, 2]
    assert checks(project) == []
    release(Registry.open(project), "c")
    assert checks(project) == []


def test_an_unsigned_line_after_a_signed_one_is_refused(registry, tmp_path):
    release(Registry.open(signed_project(tmp_path)), "a")
    append_move(state_root(), {"model": MODEL_NAME, "action": "release", "from": 1, "to": 1, "why": "forged"})
    assert "history" in checks(signed_project(tmp_path))
