"""What identifies the input of a run: it changes with the content of the source and with the place it is read from.

The fingerprint is the same for equal files in another folder, clone or machine, and it contains no secret.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.runtime.errors import InputError
from pipelines.runtime.imports import imported
from pipelines.runtime.project import Project
from pipelines.runtime.state import write_atomic
from pipelines.runtime.store import file_digest, to_json
from pipelines.sources.params import SourceParams

logger = logging.getLogger(__name__)

RECENT_NS = 2 * 10**9  # a file that changed so shortly before its digest may have changed again at the same time stamp
# What file systems that are not local state about the content of a file; without any of these the file is read.
STATED = ("ETag", "etag", "md5Hash", "Content-MD5", "Digest", "generation", "LastModified", "Last-Modified", "mtime")


def fingerprint(project: Project) -> dict[str, Any]:
    """Return what identifies the rows that section `ingest` reads; InputError when the source cannot be reached."""
    params = project.section("ingest", SourceParams)
    described = place(project)
    if params.source == "simulated":
        return described | {"digest": _simulator_digest(project)}
    if params.source == "files":
        from pipelines.sources.listing import list_files

        files, _ = list_files(params.files.paths, root=project.data_folder)
        return described | files_fingerprint(files, known=_known_file(project, params))
    source = _opened(project, params)
    window = {"start": params.start, "end": params.end}
    if params.source == "sql":
        return described | source.fingerprint(**window, version_column=params.sql.version_column)
    return described | source.fingerprint(**window)


def place(project: Project) -> dict[str, Any]:
    """Return the kind of the source and where it is, without secrets; nothing is read."""
    params = project.section("ingest", SourceParams)
    if params.source == "simulated":
        return {"kind": params.source, "address": "simulator.py of the domain"}
    if params.source == "files":
        return {"kind": params.source, "address": [_without_secrets(path) for path in params.files.paths]}
    source = _opened(project, params)
    if params.source == "sql":
        return {"kind": params.source, "address": source.place(project.root)}
    return {"kind": params.source, "address": _without_secrets(source.client.address)}


def _opened(project: Project, params: SourceParams) -> Any:
    from pipelines.records.domain import Domain
    from pipelines.sources.opening import open_source

    return open_source(project, params, domain=Domain(project.domain_folder))


def require_recorded(project: Project, recorded: dict[str, Any]) -> None:
    """Raise InputError unless the source is the recorded one: files and the simulator by content, others by place."""
    compared = fingerprint(project) if recorded.get("kind") in ("files", "simulated") else place(project)
    if any(recorded.get(name) != value for name, value in compared.items()):
        raise InputError(
            f"the source ({describe(compared)}) is not the one that data/source/fingerprint.json describes "
            f"({describe(recorded)}): run `dvc repro ingest`, without PERENNIAL_REPLAY"
        )


def facts(content: dict[str, Any]) -> dict[str, Any]:
    """Return a fingerprint without the list of files: what pages, summaries and a release state about the input."""
    shown = {name: value for name, value in content.items() if name != "files"}
    if "files" in content:
        shown |= {"n_files": len(content["files"]), "bytes": sum(file["bytes"] for file in content["files"])}
    return shown | {"description": describe(content)}


def describe(content: dict[str, Any]) -> str:
    """Return a fingerprint as a short text for people: kind, place, number of files or rows, start of the digest."""
    address = content.get("address")
    parts = [str(content.get("kind")), ", ".join(address) if isinstance(address, list) else str(address)]
    if "files" in content:
        parts.append(f"{len(content['files'])} files, {sum(file['bytes'] for file in content['files']):,} bytes")
    parts += [f"{content['rows']:,} rows"] if "rows" in content else []
    parts += [f"{name} {content[name]}" for name in ("version", "last_updated", "last_indexed") if content.get(name)]
    parts += [f"digest {content['digest'][:12]}"] if "digest" in content else []
    return ", ".join(parts)


def files_fingerprint(found_files: Sequence[tuple[str, Any, str]], *, known: Path) -> dict[str, Any]:
    """Return name, size and content of every file (name, file system, address), and a digest over all.

    `known` is a file of digests from an earlier call: a local file is read again only if its size, its times of
    modification and change, or its inode differ.
    """
    digests, files = KnownDigests(known), []
    for name, system, address in found_files:
        try:
            local = "file" in (system.protocol if isinstance(system.protocol, tuple) else (system.protocol,))
            found = digests.of(Path(address)) if local else _remote(system, address)
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error
        files.append({"name": _without_secrets(name), **found})
    digests.keep()
    return {"files": files, "digest": hashlib.sha256(to_json(files)).hexdigest()}


class KnownDigests:
    """Digests of local files by path, as one call leaves them for the next."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.made: dict[str, Any] = {}
        try:
            self.before: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            self.written = file.stat().st_mtime_ns
        except (OSError, ValueError):
            self.before, self.written = {}, 0

    def of(self, file: Path) -> dict[str, Any]:
        """Return size and content digest of a file."""
        found = file.stat()
        stamp = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]
        entry = self.before.get(str(file))
        if entry is None or entry["stamp"] != stamp or found.st_ctime_ns > self.written - RECENT_NS:
            entry = {"stamp": stamp, "digest": file_digest(file)}
            self.before.pop(str(file), None)  # so that `keep` writes
        self.made[str(file)] = entry
        return {"bytes": found.st_size, "digest": entry["digest"]}

    def keep(self) -> None:
        """Write the digests if one was computed or dropped."""
        if self.made != self.before:
            write_atomic(self.file, to_json(self.made))


def _known_file(project: Project, params: SourceParams) -> Path:
    key = hashlib.sha256(repr((str(project.data_folder), params.files.paths)).encode()).hexdigest()[:16]
    return project.state / "source-digests" / f"{key}.json"


def _remote(system: Any, address: str) -> dict[str, Any]:
    info = system.info(address)
    stated = {name: str(info[name]) for name in STATED if info.get(name)}
    if not stated:
        with system.open(address, "rb") as stream:
            stated = {"digest": hashlib.file_digest(stream, "sha256").hexdigest()}
    return {"bytes": int(info.get("size") or 0), **stated}


def _simulator_digest(project: Project) -> str:
    """Return a digest of the parameters, the seed and every file of the simulator."""
    found, digest = _simulator_files(project.domain_folder, root=project.root), hashlib.sha256()
    if not found:
        raise InputError(f"domain {project.domain_folder}: simulator.py is missing")
    for file in sorted(found):
        digest.update(f"{os.path.relpath(file, project.root)} {file_digest(file)}\n".encode())
    values = {"seed": project.resources.seed, "parameters": project.parameters.section("simulator")}
    digest.update(json.dumps(values, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _simulator_files(folder: Path, *, root: Path) -> set[Path]:
    """Return the domain's files and folders whose names begin with `simulator`, and the modules of domains they import.

    The libraries that they import are dependencies in dvc.yaml already.
    """
    found: set[Path] = set()
    waiting = _named_simulator(folder)
    while waiting:
        file = waiting.pop()
        found.add(file)
        if file.suffix != ".py" or not file.is_relative_to(root):
            continue
        for name in imported(file, root=root):
            module, library = root.joinpath(*name.split(".")).with_suffix(".py"), name.split(".")[:2]
            if module.is_file() and module not in found and (library[0] != "pipelines" or library[1] == "domains"):
                waiting |= {module} | (_named_simulator(module.parent) - found)
    return found


def _named_simulator(folder: Path) -> set[Path]:
    files = {path for start in folder.glob("simulator*") for path in (start, *start.rglob("*")) if path.is_file()}
    return {file for file in files if "__pycache__" not in file.parts}


def _without_secrets(address: str) -> str:
    """Return an address without user, password and query; a path is returned as it is."""
    from urllib.parse import urlsplit

    if "://" not in address:
        return address
    parts = urlsplit(address.partition("?")[0])
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
