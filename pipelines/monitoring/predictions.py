"""Predictions and late labels on disk: one schema for scoring and serving, one folder a day, each row once."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.monitoring.live_state import live_home
from pipelines.runtime.errors import InputError
from pipelines.runtime.state import locked, write_atomic

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.records.domain import DomainSchema

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
ROLES = ("champion", "shadow", "canary")
KEY = ["record_id", "model_version", "role"]
FIXED = [
    "schema_version",
    "request_id",
    "record_id",
    "received_at",
    "served_at",
    "model_version",
    "role",
    "label",
    "confidence",
    "text_length",
]


def predictions_root() -> Path:
    """Folder of the registered model's predictions."""
    return live_home() / "predictions"


def labels_root() -> Path:
    """Folder of the registered model's late labels."""
    return live_home() / "labels"


def columns_of(schema: DomainSchema) -> list[str]:
    """Columns of a prediction row: the fixed ones, then the domain's features."""
    names = [feature.name for feature in schema.features]
    return [*FIXED, *(name for name in names if name not in FIXED)]


def as_predictions(frame: pd.DataFrame, *, schema: DomainSchema) -> pd.DataFrame:
    """The frame with exactly the schema's columns and types; InputError names what is missing or wrong."""
    wanted = columns_of(schema)
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise InputError(f"predictions lack the column(s) {', '.join(missing)}")
    typed = frame[wanted].copy()
    numbers = {feature.name for feature in schema.features if feature.kind == "number"}
    for name in wanted:
        if name in ("received_at", "served_at"):
            typed[name] = typed[name].astype("datetime64[us, UTC]")
        elif name in ("schema_version", "model_version", "text_length"):
            typed[name] = typed[name].astype("int64")
        elif name == "confidence" or name in numbers:
            typed[name] = typed[name].astype("float64")
        else:
            typed[name] = typed[name].astype("string")
    for name in ("record_id", "received_at", "label", "role"):
        if typed[name].isna().any():
            raise InputError(f"predictions: {name} is null in row {int(typed[name].isna().to_numpy().argmax())}")
    unknown = sorted(set(typed["role"]) - set(ROLES))
    if unknown:
        raise InputError(f"predictions: role {unknown[0]!r} is unknown; there are: {', '.join(ROLES)}")
    return typed


def add_predictions(frame: pd.DataFrame, *, root: Path | None = None) -> int:
    """Add rows to their days' files; a row whose key is there already changes nothing. Returns how many were new."""
    return _add(frame, root=root or predictions_root(), stamp="received_at", key=KEY)


def read_predictions(
    *, start: date, end: date, model_version: int | None = None, roles: Sequence[str] = ROLES, root: Path | None = None
) -> pd.DataFrame:
    """Predictions of the half-open window of UTC days, in order of receipt; an empty frame without columns if none."""
    frame = _read(root or predictions_root(), start=start, end=end)
    if frame.empty:
        return frame
    keep = frame["role"].isin(list(roles))
    if model_version is not None:
        keep &= frame["model_version"] == model_version
    return frame[keep].sort_values(["received_at", *KEY], ignore_index=True)


def add_labels(frame: pd.DataFrame, *, root: Path | None = None) -> int:
    """Add late labels (`record_id`, `label`, `labeled_at`) to the days they came in; returns how many were new.

    `source`, who gave the label, is kept where it is told: `model` for one that only repeats what a model answered.
    """
    names = ["record_id", "label", *(["source"] if "source" in frame.columns else []), "labeled_at"]
    typed = frame[names].astype(dict.fromkeys(names[:-1], "string"))
    typed["labeled_at"] = typed["labeled_at"].astype("datetime64[us, UTC]")
    return _add(typed, root=root or labels_root(), stamp="labeled_at", key=["record_id"])


def read_labels(*, start: date, end: date, root: Path | None = None) -> pd.DataFrame:
    """Labels that came in within the half-open window of UTC days."""
    frame = _read(root or labels_root(), start=start, end=end)
    return frame.sort_values(["labeled_at", "record_id"], ignore_index=True) if not frame.empty else frame


def days_scored(*, before: date, root: Path | None = None) -> list[date]:
    """UTC days before a day of which any prediction was ever written, in order."""
    files = (root or predictions_root()).glob("day=*/part.parquet")
    days = sorted(date.fromisoformat(file.parent.name.removeprefix("day=")) for file in files)
    return [day for day in days if day < before]


def day_folder(root: Path, day: date) -> Path:
    """Folder of one UTC day."""
    return root / f"day={day.isoformat()}"


def _add(frame: pd.DataFrame, *, root: Path, stamp: str, key: list[str]) -> int:
    import pandas as pd

    added = 0
    for day, given in frame.groupby(frame[stamp].dt.date, sort=True):
        file = day_folder(root, day) / "part.parquet"
        with locked(file):
            known = pd.read_parquet(file) if file.exists() else given.iloc[:0]
            rows = given.drop_duplicates(key, keep="first")
            old = pd.MultiIndex.from_frame(known[key]) if len(known) else None
            new = rows if old is None else rows[~pd.MultiIndex.from_frame(rows[key]).isin(old)]
            if new.empty:
                continue
            whole = pd.concat([known, new]) if len(known) else new
            for stale in file.parent.glob(f".{file.name}.*.partial"):  # of a writer that was killed; the lock is ours
                stale.unlink(missing_ok=True)
            buffer = io.BytesIO()
            whole.sort_values([stamp, *key], ignore_index=True).to_parquet(buffer, index=False, compression="zstd")
            write_atomic(file, buffer.getvalue())
            added += len(new)
    return added


def _read(root: Path, *, start: date, end: date) -> pd.DataFrame:
    import pandas as pd

    if start >= end:
        raise InputError(f"window [{start}, {end}) is empty: start before end would be right")
    frames = []
    for file in _files(root, start=start, end=end):
        try:
            frames.append(pd.read_parquet(file))
        except (OSError, ValueError) as error:
            raise InputError(f"{file} is not readable: {error}; remove it and write that day again") from error
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _files(root: Path, *, start: date, end: date) -> Iterator[Path]:
    for offset in range((end - start).days):
        file = day_folder(root, start + timedelta(days=offset)) / "part.parquet"
        if file.exists():
            yield file
