"""Bytes of a file -> lines of text: unpacked, decoded strictly, and counted before anything parses them."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Any

from pipelines.runtime.errors import InputError
from pipelines.sources.accounting import Account
from pipelines.sources.listing import Found

COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".zip")
BLOCK = 2**20
# Browsers read latin-1 as cp1252: the characters 0x80 to 0x9f are curly quotes and dashes there, controls here.
C1 = re.compile("[\x80-\x9f]")
CP1252 = {
    number: bytes([number]).decode("cp1252", errors="ignore") or chr(number) for number in range(0x80, 0xA0)
}  # five of them are undefined and stay what they are
# UTF-8 that was read as latin-1 or cp1252 and encoded again, such as "Ã¼": each byte of a character as one character.
REST = "[\x80-\xbf" + "".join(letter for letter in CP1252.values() if letter > "\xff") + "]"
TWICE = re.compile(f"[\xc2-\xdf]{REST}|[\xe0-\xef]{REST}{{2}}|[\xf0-\xf4]{REST}{{3}}")
# First bytes of files that are not text, whatever their names say.
CONTENTS = {
    b"\x1f\x8b": "gzip (.gz)",
    b"(\xb5/\xfd": "zstd (.zst)",
    b"\xfd7zXZ\0": "xz (.xz)",
    b"PK\x03\x04": "a zip archive (.zip) or an Office document",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"PAR1\x15": "Parquet (.parquet)",
    b"SQLite format 3\0": "a SQLite database (ingest.source: sql)",
    b"%PDF-": "PDF",
}


@contextmanager
def opened(file: Found) -> Iterator[tuple[IO[bytes], str]]:
    """Yield the unpacked stream of a file and the path that states its kind; InputError when it cannot be opened."""
    suffix = PurePosixPath(file.path).suffix.lower()
    try:
        raw = file.system.open(file.address, "rb")
    except Exception as error:  # each file system has errors of its own
        raise unreadable(file.name, error) from error
    with raw:
        kind = file.path
        if suffix == ".zip":
            stream, kind = _only_member(file, raw)
        else:
            stream = _unpacked(raw, suffix)
        yield stream, kind


def unreadable(name: str, error: Exception) -> InputError:
    """Return the error for a file that the system does not let us read."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{name} cannot be read: it has gone since it was listed")
    if isinstance(error, PermissionError):
        return InputError(f"{name} cannot be read: permission denied; may this user read the file?")
    cause = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    return InputError(f"{name} cannot be read: {cause}")


def read_block(stream: IO[bytes], name: str) -> bytes:
    """Return the next block; InputError for a cut or damaged archive and for what the system refuses."""
    try:
        return stream.read(BLOCK)
    except OSError as error:
        if error.errno is not None:
            raise unreadable(name, error) from error
        raise InputError(f"{name} cannot be unpacked: {error}; the file was cut or is not an archive") from error
    except Exception as error:  # zlib, lzma, zipfile and remote file systems have errors of their own
        raise InputError(f"{name} cannot be unpacked or read: {error}; the file was cut or is damaged") from error


class Text:
    """The lines of a stream, with their ends; what goes in is counted in the account as it passes."""

    def __init__(self, stream: IO[bytes], *, encoding: str, account: Account) -> None:
        try:
            found = codecs.lookup(encoding)
            if not found._is_text_encoding:
                raise LookupError
        except LookupError:
            raise InputError(
                f"invalid ingest.files.encoding = {encoding!r}: expected a codec such as utf-8 or cp1252"
            ) from None
        self.stream, self.encoding, self.account = stream, encoding, account
        self.codec = "utf-8-sig" if found.name == "utf-8" else found.name
        # Text of another encoding whose characters are mostly valid UTF-8 was declared wrongly: each one is misread.
        self._as_utf8 = None if found.name.startswith("utf") else codecs.getincrementaldecoder("utf-8")("replace")
        self._bytes = self._foreign = self._valid = self._invalid = self._twice = 0
        self._last = ""  # character of the block before

    def blocks(self) -> Iterator[list[str]]:
        """Yield lists of whole lines, and the last line also without its end."""
        decoder = codecs.getincrementaldecoder(self.codec)("strict")
        begun: list[str] = []  # pieces of a line whose end has not come yet
        while True:
            block = read_block(self.stream, self.account.file)
            if not self._bytes:
                self._refuse_other_content(block)
            self._bytes += len(block)
            text = self._counted(self._decoded(decoder, block))
            begun.append(text)
            if block and "\n" not in text and "\r" not in text:
                continue
            lines = io.StringIO("".join(begun), newline="").readlines()
            begun = [lines.pop()] if block and lines and not lines[-1].endswith("\n") else []
            yield lines
            if not block:
                self._finish()
                return

    def _refuse_other_content(self, begin: bytes) -> None:
        found = next((name for mark, name in CONTENTS.items() if begin.startswith(mark)), None)
        found = "a tar archive" if begin[257:262] == b"ustar" else found
        if found:
            raise InputError(
                f"{self.account.file} is not text, it begins as {found} does: give it the suffix of what it is, or "
                "unpack or export it as CSV, JSON lines or Parquet"
            )

    def _decoded(self, decoder: codecs.IncrementalDecoder, block: bytes) -> str:
        try:
            text = decoder.decode(block, not block)
        except UnicodeDecodeError as error:
            # The decoder sees one block at a time; error.object also holds what was left of the block before.
            place = self._bytes - len(error.object) + error.start
            raise InputError(
                f"{self.account.file}: byte {place} (0x{error.object[error.start]:02x}) is not {self.encoding}: "
                f"{error.reason}; state the file's encoding in ingest.files.encoding, for example cp1252 or utf-16"
            ) from error
        except (UnicodeError, ValueError) as error:
            raise InputError(f"{self.account.file} is not {self.encoding}: {error}") from error
        if self._as_utf8 is not None and not block.isascii():
            self._foreign += len(text) - len(text.encode("ascii", "ignore"))
            guess = self._as_utf8.decode(block, not block)
            invalid = guess.count("\ufffd")
            self._invalid += invalid
            self._valid += len(guess) - len(guess.encode("ascii", "ignore")) - invalid
        if self._as_utf8 is None and not text.isascii():
            self._foreign += len(text) - len(text.encode("ascii", "ignore"))
            self._twice += sum(map(len, TWICE.findall(text)))
        return text

    def _counted(self, text: str) -> str:
        if self.codec == "iso8859-1" and not text.isascii():
            n = len(C1.findall(text))
            if n:
                text = text.translate(CP1252)
                self.account.notes["cp1252_characters"] = self.account.notes.get("cp1252_characters", 0) + n
        ends = text.count("\n") + text.count("\r") - text.count("\r\n")
        self.account.stated += ends - (self._last == "\r" and text.startswith("\n"))
        self._last = text[-1:] or self._last
        return text

    def _finish(self) -> None:
        self.account.stated += self._last not in ("", "\n", "\r")
        self.account.notes["bytes"] = self._bytes
        if self._valid > self._invalid:
            self.account.count("misread_utf8", self._foreign)
        if self._twice > 0.8 * self._foreign:  # by chance they are rare: „Ä“ also has an opening quote
            self.account.count("encoded_twice", self._twice)


class Streams:
    """The compressed streams of a file, one after the other, as parallel compressors write them.

    Unlike bz2.BZ2File and lzma.LZMAFile, which take what follows a stream for padding and ignore it, this raises the
    error of the decompressor: it may be a damaged stream with rows in it.
    """

    def __init__(self, raw: IO[bytes], make: Callable[[], Any]) -> None:
        self.raw, self.make = raw, make
        self.stream = make()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end."""
        while True:
            packed = b""
            if self.stream.eof:
                packed = self.stream.unused_data or self.raw.read(BLOCK)
                while packed and not (packed := packed.lstrip(b"\0")):  # padding
                    packed = self.raw.read(BLOCK)
                if not packed:
                    return b""
                self.stream = self.make()
            elif self.stream.needs_input:
                packed = self.raw.read(BLOCK)
                if not packed:
                    raise EOFError("it ends inside a compressed stream")
            content: bytes = self.stream.decompress(packed, size)
            if content:
                return content


def _unpacked(raw: IO[bytes], suffix: str) -> Any:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)
    if suffix == ".bz2":
        return Streams(raw, bz2.BZ2Decompressor)
    if suffix == ".xz":
        return Streams(raw, lzma.LZMADecompressor)
    if suffix == ".zst":
        import pyarrow as pa

        return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return raw


def _only_member(file: Found, raw: IO[bytes]) -> tuple[IO[bytes], str]:
    """Return the stream and the name of the one file in a zip archive."""
    try:
        archive = zipfile.ZipFile(raw)
        members = [
            item for item in archive.infolist() if not item.is_dir() and not item.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            raise InputError(f"{file.name} holds {len(members)} files: expected one; unpack it and name the files")
        return archive.open(members[0]), members[0].filename
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise InputError(f"{file.name} cannot be unpacked: {error}; unpack it by hand") from error
