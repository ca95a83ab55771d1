"""The only reader and writer of `data/`: writes are atomic, and equal content gives equal bytes."""

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
from pipelines.runtime.signing import Key
from pipelines.runtime.state import disk_message, write_atomic

if TYPE_CHECKING:
    import pandas as pd

COMPRESSION = "zstd"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # the disk refuses the write; other errors pass through


class Store:
    """The outputs of all stages below one folder, `data/` of a checkout: one subfolder per stage."""

    def __init__(self, folder: Path, *, key: Key | None = None) -> None:
        """`key` signs override records and checks them, if given."""
        self.folder = folder
        self.key = key

    def path(self, stage: str, *parts: str) -> Path:
        """Return a path below the stage's folder and create its parent folders."""
        target = self.folder.joinpath(stage, *parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def read_records(self, stage: str, *, columns: Sequence[str] | None = None, name: str = "records") -> pd.DataFrame:
        """Return `<stage>/<name>.parquet` as a frame.

        Raises InputError, which names the stage that writes the file, when it is missing or unreadable.
        """
        import pandas as pd

        file = self.folder / stage / f"{name}.parquet"
        if not file.exists():
            raise InputError(_missing(file, stage))
        try:
            return pd.read_parquet(file, columns=list(columns) if columns is not None else None)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{file} is not readable: {error}; run `dvc checkout` or `dvc repro {stage}`") from error

    def write_records(self, stage: str, frame: pd.DataFrame, *, name: str = "records") -> None:
        """Write `<stage>/<name>.parquet` atomically; the bytes depend on the values only."""
        import io

        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(frame.reset_index(drop=True), preserve_index=False).replace_schema_metadata(None)
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression=COMPRESSION, use_dictionary=True)
        write_atomic(self.path(stage, f"{name}.parquet"), buffer.getvalue())

    def read_json(self, stage: str, name: str) -> Any:
        """Return the content of a JSON file; InputError when it is missing or not JSON."""
        file = self.folder / stage / name
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(_missing(file, stage)) from None
        except ValueError as error:
            raise InputError(f"{file} is not JSON: {error}") from None

    def write_json(self, stage: str, name: str, content: Any) -> None:
        """Write a JSON file, canonical and atomic."""
        write_atomic(self.path(stage, name), to_json(content))

    def write_metrics(self, stage: str, metrics: dict[str, Any], *, headline: Mapping[str, float | str | None]) -> None:
        """Write `<stage>/metrics.json`: the few numbers that people compare between commits, then all details.

        DVC shows every number of a mapping as a column of its table and ignores lists, so the details are in a list.
        """
        shown = {name: value for name, value in headline.items() if value is not None}
        self.write_json(stage, "metrics.json", {**shown, "details": [metrics]})

    def read_metrics(self, stage: str) -> dict[str, Any]:
        """Return the details of `<stage>/metrics.json`; InputError when it is missing or has none."""
        content = self.read_json(stage, "metrics.json")
        try:
            return dict(content["details"][0])
        except (KeyError, IndexError, TypeError, ValueError):
            file = self.folder / stage / "metrics.json"
            raise InputError(f"{file} has no details: run `dvc repro {stage}`") from None

    def write_text(self, stage: str, name: str, text: str) -> None:
        """Write a UTF-8 text file, atomic."""
        write_atomic(self.path(stage, name), text.encode("utf-8"))

    def write_bytes(self, stage: str, name: str, content: bytes) -> None:
        """Write a binary file, atomic."""
        write_atomic(self.path(stage, name), content)

    def write_table(self, stage: str, name: str, frame: pd.DataFrame) -> None:
        """Write a small CSV (a DVC plot) with `\\n` line ends and nine significant digits."""
        self.write_text(stage, name, frame.to_csv(index=False, lineterminator="\n", float_format="%.9g"))

    def read_table(self, stage: str, name: str) -> pd.DataFrame:
        """Return a small CSV as a frame; InputError when it is missing or not a table."""
        import pandas as pd

        file = self.folder / stage / name
        try:
            return pd.read_csv(file, keep_default_na=False, na_values=[""])  # "NA" and "None" are names
        except FileNotFoundError:
            raise InputError(_missing(file, stage)) from None
        except ValueError as error:
            raise InputError(f"{file} is not a table: {error}") from None

    def write_verdict(self, verdict: Any) -> None:
        """Write `<stage>/verdict.json` of a `gates.verdict.Verdict`."""
        self.write_json(verdict.stage, "verdict.json", verdict.to_dict())

    def remove_partial(self, stage: str) -> None:
        """Remove the temporary files and folders that killed runs of the stage have left."""
        for left in (self.folder / stage).glob(".*.partial"):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)

    @contextlib.contextmanager
    def writing_folder(self, stage: str, name: str) -> Iterator[Path]:
        """Yield a temporary folder that becomes `<stage>/<name>/` when the block ends without an error."""
        target = self.path(stage, name)
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
    def writing_file(self, stage: str, name: str) -> Iterator[Path]:
        """Yield a temporary path that becomes `<stage>/<name>`, synced, when the block ends without an error."""
        target = self.path(stage, name)
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
    def scratch_folder(self, stage: str) -> Iterator[Path]:
        """Yield an empty folder next to the stage's outputs; it is removed when the block ends."""
        folder = self.path(stage, ".scratch.partial")
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


def to_json(content: Any) -> bytes:
    """Return canonical JSON: sorted keys, two spaces, a final newline. Raises StoreError for NaN and infinity."""
    place = _not_finite(content, "")
    if place is not None:
        raise StoreError(f"{place.lstrip('.')} is not a finite number; write null and give the reason")
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def file_digest(file: Path) -> str:
    """Return the sha256 of a file, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Return the sha256 over the sorted relative names and digests of all files below a folder."""
    lines = [
        f"{file.relative_to(folder).as_posix()} {file_digest(file)}\n"
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _missing(file: Path, stage: str) -> str:
    return f"{file} is missing; stage {stage!r} writes it: run `dvc repro {stage}`"


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
