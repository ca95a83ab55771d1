"""The only reader and writer of `data/`: atomic, and the same content gives the same bytes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError, StoreError
from pipelines.runtime.state import disk_message, write_atomic

if TYPE_CHECKING:
    import pandas as pd


DATA = Path("data")
COMPRESSION = "zstd"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # the disk refuses; any other error is not its own


def path(stage: str, *parts: str) -> Path:
    """A path below `data/<stage>/`, its parent folders made."""
    target = DATA.joinpath(stage, *parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def read_records(stage: str, *, columns: Sequence[str] | None = None, name: str = "records") -> pd.DataFrame:
    """`data/<stage>/<name>.parquet` as a frame; InputError says which stage writes it when it is missing or broken."""
    import pandas as pd

    file = DATA / stage / f"{name}.parquet"
    if not file.exists():
        raise InputError(f"{file} is missing; stage {stage!r} writes it: run `dvc repro {stage}`")
    try:
        return pd.read_parquet(file, columns=list(columns) if columns is not None else None)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{file} is not readable: {error}; run `dvc checkout` or `dvc repro {stage}`") from error


def write_records(stage: str, frame: pd.DataFrame, *, name: str = "records") -> None:
    """Write `data/<stage>/<name>.parquet` atomically; the bytes depend on the values only."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame.reset_index(drop=True), preserve_index=False).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression=COMPRESSION, use_dictionary=True)
    write_atomic(path(stage, f"{name}.parquet"), buffer.getvalue())


def read_json(stage: str, name: str) -> Any:
    """A JSON file of a stage; InputError when it is missing or not JSON."""
    file = DATA / stage / name
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file} is missing; stage {stage!r} writes it: run `dvc repro {stage}`") from None
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}") from None


def to_json(content: Any) -> bytes:
    """Canonical JSON: sorted keys, two spaces, a newline at the end; NaN and infinity are refused with their place."""
    place = _not_finite(content, "")
    if place is not None:
        raise StoreError(f"{place.lstrip('.')} is not a finite number; write null and say why")
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def write_json(stage: str, name: str, content: Any) -> None:
    """Write a JSON file of a stage, canonical and atomic."""
    write_atomic(path(stage, name), to_json(content))


def write_metrics(stage: str, metrics: dict[str, Any], *, headline: Mapping[str, float | str | None]) -> None:
    """Write `data/<stage>/metrics.json`: the few numbers that a person compares between commits, then everything.

    DVC shows every number of a mapping as a column of its table and leaves lists alone, so everything stands in a list.
    """
    shown = {name: value for name, value in headline.items() if value is not None}
    write_json(stage, "metrics.json", {**shown, "details": [metrics]})


def read_metrics(stage: str) -> dict[str, Any]:
    """Everything in `data/<stage>/metrics.json`; InputError when it is missing or no such file."""
    content = read_json(stage, "metrics.json")
    try:
        return dict(content["details"][0])
    except (KeyError, IndexError, TypeError, ValueError):
        raise InputError(f"{DATA / stage / 'metrics.json'} has no details: run `dvc repro {stage}`") from None


def write_text(stage: str, name: str, text: str) -> None:
    """Write a text file of a stage, UTF-8, atomic."""
    write_atomic(path(stage, name), text.encode("utf-8"))


def write_bytes(stage: str, name: str, content: bytes) -> None:
    """Write a binary file of a stage, atomic."""
    write_atomic(path(stage, name), content)


def write_table(stage: str, name: str, frame: pd.DataFrame) -> None:
    """Write a small CSV of a stage (a DVC plot), `\\n` line ends, nine significant digits."""
    write_text(stage, name, frame.to_csv(index=False, lineterminator="\n", float_format="%.9g"))


def read_table(stage: str, name: str) -> pd.DataFrame:
    """A small CSV of a stage; InputError when it is missing or not a table."""
    import pandas as pd

    file = DATA / stage / name
    try:
        return pd.read_csv(file)
    except FileNotFoundError:
        raise InputError(f"{file} is missing; stage {stage!r} writes it: run `dvc repro {stage}`") from None
    except ValueError as error:
        raise InputError(f"{file} is not a table: {error}") from None


def write_verdict(verdict: Any) -> None:
    """Write `data/<stage>/verdict.json`."""
    write_json(verdict.stage, "verdict.json", verdict.to_dict())


@contextlib.contextmanager
def writing_folder(stage: str, name: str) -> Iterator[Path]:
    """A temporary folder that becomes `data/<stage>/<name>/` when the block ends without an error."""
    target = path(stage, name)
    temporary = target.with_name(f".{name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    except OSError as error:
        raise StoreError(disk_message(target, error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def writing_file(stage: str, name: str) -> Iterator[Path]:
    """A temporary path that becomes `data/<stage>/<name>`, synced, when the block ends without an error."""
    target = path(stage, name)
    temporary = target.with_name(f".{name}.partial")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StoreError(disk_message(target, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch_folder(stage: str) -> Iterator[Path]:
    """An empty folder beside the outputs of a stage that is gone when the block ends."""
    folder = path(stage, ".scratch.partial")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StoreError(disk_message(folder, error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def file_digest(file: Path) -> str:
    """sha256 of a file, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """sha256 over the sorted relative names and digests of all files below a folder."""
    lines = [
        f"{file.relative_to(folder).as_posix()} {file_digest(file)}\n"
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _not_finite(content: Any, place: str) -> str | None:
    if isinstance(content, float) and not math.isfinite(content):
        return place or "the value"
    items: Any = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list | tuple)
        else ()
    )
    for key, value in items:
        found = _not_finite(value, f"{place}.{key}")
        if found is not None:
            return found
    return None
