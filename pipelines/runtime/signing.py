"""Signatures with a key that is kept outside the state root: an Ed25519 key in a PEM file, private or public.

A process with the private key signs and checks; one with the public key, such as a service, only checks.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import ParamsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VARIABLE = "PERENNIAL_SIGNING_KEY"
MAKE_KEY = "`openssl genpkey -algorithm ed25519 -out key.pem && chmod 600 key.pem` makes one"


@dataclass(frozen=True)
class Key:
    """A key that was read from a file."""

    file: Path
    public: Ed25519PublicKey
    private: Ed25519PrivateKey | None

    def sign(self, kind: str, text: str) -> str | None:
        """Return the signature of a text in base64, or None where only the public key is known.

        `kind` states what is signed, so that the signature of one kind of record is never valid for another.
        """
        if self.private is None:
            return None
        return base64.b64encode(self.private.sign(_message(kind, text))).decode()

    def accepts(self, kind: str, text: str, signature: object) -> bool:
        """Return whether a signature is that of this text and kind by this key."""
        from cryptography.exceptions import InvalidSignature

        if not isinstance(signature, str):
            return False
        try:
            self.public.verify(base64.b64decode(signature, validate=True), _message(kind, text))
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def read_key(environment: Mapping[str, str], *, state: Path) -> Key | None:
    """Return the key in the file that PERENNIAL_SIGNING_KEY names, or None where the variable is not set.

    Raises ParamsError for a relative path, a file inside the state root (a person who can change the history could sign
    it too), a private key that other users can read, and a file that holds no Ed25519 key.
    """
    value = environment.get(VARIABLE)
    if not value:
        return None
    file = Path(value)
    if not file.is_absolute():
        raise ParamsError(f"invalid {VARIABLE} = {value!r}: expected the absolute path of a PEM file")
    if file.resolve().is_relative_to(state.resolve()):
        raise ParamsError(f"invalid {VARIABLE} = {value!r}: expected a file outside the state root {state}")
    try:
        content = file.read_bytes()
        mode = file.stat().st_mode
    except OSError as error:
        raise ParamsError(f"invalid {VARIABLE} = {value!r}: {error.strerror}; {MAKE_KEY}") from None
    key = _parsed(content, file)
    if key.private is not None and mode & 0o077:
        raise ParamsError(f"{file} can be read by other users (mode {mode & 0o777:04o}): run `chmod 600 {file}`")
    return key


def _parsed(content: bytes, file: Path) -> Key:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    found: Any = None
    private = b"PRIVATE" in content[:40]
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        found = load_pem_private_key(content, password=None) if private else load_pem_public_key(content)
    if isinstance(found, Ed25519PrivateKey):
        return Key(file, found.public_key(), found)
    if isinstance(found, Ed25519PublicKey):
        return Key(file, found, None)
    raise ParamsError(f"{file} holds no Ed25519 key in PEM form without a password; {MAKE_KEY}")


def _message(kind: str, text: str) -> bytes:
    return f"perennial {kind}\n{text}".encode()
