"""Keys that sign releases: what is accepted, and what a signature covers."""

import pytest

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.signing import VARIABLE, read_key
from tests.factories.keys import key_files


def read(file, state):
    return read_key({VARIABLE: str(file)}, state=state)


def test_a_signature_covers_kind_and_text_and_both_halves_check_it(tmp_path):
    private, public = (read(file, tmp_path / "state") for file in key_files(tmp_path))
    signature = private.sign("manifest", "a digest")
    for key in (private, public):
        assert key.accepts("manifest", "a digest", signature)
        assert not key.accepts("history", "a digest", signature)
        assert not key.accepts("manifest", "another digest", signature)
        assert not any(key.accepts("manifest", "a digest", wrong) for wrong in (None, 3, "", "é", signature[:-4]))
    assert public.sign("manifest", "a digest") is None


def test_another_key_is_not_accepted(tmp_path):
    one, other = (read(key_files(tmp_path, name=name)[0], tmp_path / "state") for name in ("one", "other"))
    assert not other.accepts("manifest", "a digest", one.sign("manifest", "a digest"))


def test_no_variable_is_no_key(tmp_path):
    assert read_key({}, state=tmp_path) is None
    assert read_key({VARIABLE: ""}, state=tmp_path) is None


def test_keys_that_are_refused(tmp_path):
    private, _ = key_files(tmp_path)
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(ParamsError, match="absolute"):
        read("key.pem", tmp_path / "state")
    with pytest.raises(ParamsError, match="outside the state root"):
        read(private, tmp_path)
    with pytest.raises(ParamsError, match="openssl"):
        read(tmp_path / "missing.pem", tmp_path / "state")
    with pytest.raises(ParamsError, match="no Ed25519 key"):
        read(tmp_path / "text.pem", tmp_path / "state")
    private.chmod(0o640)
    with pytest.raises(ParamsError, match="chmod 600"):
        read(private, tmp_path / "state")
