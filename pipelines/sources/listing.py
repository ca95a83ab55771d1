"""Which files the patterns name: a path that is there is taken literally, only the rest is a pattern."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from pipelines.records.spelling import whole_characters
from pipelines.runtime.errors import InputError
from pipelines.sources.accounting import LeftOut

MAGIC = re.compile(r"[*?[]")
UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".swp", ".bak", ".lock")
MARKERS = re.compile(r"_SUCCESS|_metadata|_common_metadata|_committed_.*|_started_.*|_temporary|_delta_log|__MACOSX")
DATA = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")  # Spark and Dask also name folders of files so
OFFICE = ("Thumbs.db", "desktop.ini")
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


class Found(NamedTuple):
    """A file to read: the name to show and where it is."""

    name: str
    system: Any  # an fsspec file system
    address: str

    @property
    def path(self) -> str:
        """Return the path that the kind of the file is read from: without the query of a signed address."""
        return urlsplit(self.address).path if self.address.startswith(("http://", "https://")) else self.address


def list_files(patterns: Sequence[str], *, root: Path) -> tuple[list[Found], list[LeftOut]]:
    """Return the files to read, each once, in order of their names, and those that were matched and left out.

    Raises InputError for a pattern that matches no file, a folder, or a place that cannot be listed.
    """
    found: dict[str, tuple[Any, bool]] = {}
    left_out: dict[str, LeftOut] = {}
    for pattern in patterns:
        local = "://" not in pattern and "::" not in pattern
        system, matches = _local(pattern, root=root) if local else _remote(pattern)
        n_before, named = len(found), not MAGIC.search(pattern) or matches == [os.path.normpath(root / pattern)]
        for match in matches:
            if whole_characters(match) != match:
                raise InputError(f"the name of the file {match!a} is not UTF-8: rename the file or its folder")
            base = _fixed_part(Path(os.path.normpath(root / pattern)))[0] if local else None
            reason = None if named else _reason_to_leave(match, base=base)
            if reason is None:
                found[match] = (system, local)
            else:
                left_out[match] = LeftOut(_shown(match, root), *reason)
        if not matches or (len(found) == n_before and not any(match in found for match in matches)):
            where = "relative paths start at PERENNIAL_DATA, or else at the repository root"
            where += "" if root.is_dir() else f"; {root} is not a folder"
            only = f"; not read: {'; '.join(f'{i.file}, {i.reason}' for i in left_out.values())}" if matches else ""
            raise InputError(
                f"ingest.files.paths: {pattern!r} matches no file (searched for {root / pattern if local else pattern}); "
                + (where if local else "check the address and its server")
                + only
            )
    for match, item in left_out.items():
        if not item.harmless and any(address.startswith(f"{match}/") for address in found):
            left_out[match] = LeftOut(item.file, "a folder", harmless=True)
    names = _names(found, root=root)
    files = [Found(names[at], system, at) for at, (system, _) in found.items()]
    return sorted(files, key=lambda item: item.name), sorted(left_out.values(), key=lambda item: item.file)


def _local(pattern: str, *, root: Path) -> tuple[Any, list[str]]:
    """Return the local file system and what is there under this name; if nothing is, what the pattern matches."""
    from fsspec.implementations.local import LocalFileSystem

    whole = Path(os.path.normpath(root / pattern))
    if whole.is_dir():
        files = f"{pattern.rstrip('/')}/*.csv"
        raise InputError(f"ingest.files.paths: {pattern!r} is a folder: expected files, as in {files!r}")
    if os.path.lexists(whole):
        if not whole.exists():
            raise InputError(f"ingest.files.paths: {pattern!r} is a link to {whole.readlink()}, which does not exist")
        return LocalFileSystem(), [str(whole)]
    base, parts = _fixed_part(whole)
    matches = sorted(set(_expand(base, parts, literal=False)))
    # Nothing: brackets and question marks may be part of the names.
    return LocalFileSystem(), matches or sorted(set(_expand(base, parts, literal=True)))


def _fixed_part(whole: Path) -> tuple[Path, list[str]]:
    """Split a path into its longest beginning that is a folder, and the rest."""
    base = next(folder for folder in whole.parents if folder.is_dir())
    return base, list(whole.relative_to(base).parts)


def _expand(base: Path, parts: list[str], *, literal: bool) -> Iterator[str]:
    """Yield what the parts of a pattern match below a folder; `**` is any number of folders.

    With `literal`, only `*` has a meaning. A folder that cannot be listed is an error: its files must not go missing.
    """
    part, rest = parts[0], parts[1:]
    try:
        names = sorted(os.listdir(base))  # noqa: PTH208  (Path.iterdir hides no error either, but is slower)
    except OSError as error:
        raise InputError(f"{base} cannot be listed: {error.strerror}; may this user read the folder?") from error
    if part == "**":
        yield from _expand(base, rest or ["*"], literal=literal)
        for name in names:
            if (base / name).is_dir() and not _leads_back(base / name):
                yield from _expand(base / name, parts, literal=literal)
        return
    wanted = re.sub(r"[\[?]", lambda sign: f"[{sign[0]}]", part) if literal else part
    for name in names:
        if fnmatchcase(name, wanted):
            if not rest:
                yield str(base / name)
            elif (base / name).is_dir():
                yield from _expand(base / name, rest, literal=literal)


def _leads_back(folder: Path) -> bool:
    """Whether a link leads to a folder that holds it, or that another link on the way has led to."""
    return folder.is_symlink() and any(above.resolve().is_relative_to(folder.resolve()) for above in folder.parents)


def _remote(pattern: str) -> tuple[Any, list[str]]:
    """Return the file system of an address and its files; the query of an HTTP address belongs to its name."""
    from fsspec.core import url_to_fs

    try:
        system, address = url_to_fs(pattern)
        signs = "*[" if address.startswith(("http://", "https://")) else "*?["
        if not any(sign in address for sign in signs) or system.isfile(address):
            return system, [address] if system.isfile(address) else []
        return system, [match for match in sorted(map(str, system.glob(address))) if system.isfile(match)]
    except (ImportError, ValueError) as error:
        raise InputError(f"ingest.files.paths: {_unsigned(pattern)!r} cannot be opened: {error}") from error
    except Exception as error:  # each file system has errors of its own
        raise InputError(
            f"ingest.files.paths: {_unsigned(pattern)!r} cannot be listed: {_first_line(error)}"
        ) from error


def _reason_to_leave(match: str, *, base: Path | None) -> tuple[str, bool] | None:
    """Return why a matched file is not read and whether that is harmless; None for a file to read.

    `base` is the folder where the pattern begins, None for a remote file.
    """
    path = Path(match)
    parts = path.relative_to(base).parts if base else path.parts[-1:]
    reasons = {
        "a marker of another program": any(MARKERS.fullmatch(part) for part in parts) or path.name in OFFICE,
        "a checksum": path.suffix == ".crc",
        "temporary": path.name.startswith(("~", "#")) or path.name.endswith(("~", "#")) or path.suffix in UNFINISHED,
        "hidden": any(part.startswith(".") for part in parts),
        "a folder": base is not None and path.is_dir() and path.suffix.lower() not in DATA,
    }
    harmless = next((reason for reason, holds in reasons.items() if holds), None)
    if harmless or base is None:
        return (harmless, True) if harmless else None
    if not path.exists():
        return f"a link to {path.readlink()}, which does not exist" if path.is_symlink() else "it has gone", False
    if path.is_dir():
        return f"a folder named like a file: add its files to ingest.files.paths, as in '.../{path.name}/*'", False
    return None if path.is_file() else ("neither a file nor a folder", False)


def _names(addresses: Iterable[str], *, root: Path) -> dict[str, str]:
    """Return the name to show of each file, without what differs between machines; no two are equal."""
    names = {address: _shown(address, root) for address in addresses}
    for depth in range(2, 64):
        shown = list(names.values())
        equal = (
            [address for address, name in names.items() if shown.count(name) > 1] if len({*shown}) < len(shown) else []
        )
        if not equal:
            return names
        for address in equal:
            names[address] = "/".join(Path(address).parts[-depth:])
    return {address: address for address in names}  # only their queries or protocols differ


def _shown(address: str, root: Path) -> str:
    """Return a path below the root, or else the name of the file; the address of a remote file without its query."""
    if "://" in address:
        return _unsigned(address)
    path = Path(address)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _unsigned(address: str) -> str:
    """Return an address without its query, which may hold a signature."""
    return address.split("?", maxsplit=1)[0] if address.startswith(("http://", "https://")) else address


def folder_columns(address: str, root: Path) -> dict[str, str | None]:
    """Return the keys and values of folders named `key=value`, as Hive and Spark write them."""
    path = Path(urlsplit(address).path if "://" in address else address)
    folders = (path.relative_to(root) if path.is_relative_to(root) else path).parts[:-1]
    pairs = [folder.split("=", 1) for folder in folders if re.fullmatch(r"[^=]+=.*", folder)]
    return {unquote(key): None if value == HIVE_NULL else unquote(value) for key, value in pairs}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
