"""Predictions and late labels on disk: one schema for scoring and serving, one folder per day, each row once.

Every function takes `live`, the live folder of a model (`live_state.live_folder`).
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.runtime.errors import InputError
from pipelines.runtime.state import locked, write_atomic

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.records.schema import DomainSchema

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


def predictions_folder(live: Path) -> Path:
    """Return the folder of the predictions below the live folder of a model."""
    return live / "predictions"


def labels_folder(live: Path) -> Path:
    """Return the folder of the late labels below the live folder of a model."""
    return live / "labels"


def columns_of(schema: DomainSchema) -> list[str]:
    """Return the columns of a prediction row: the fixed ones, then the domain's features."""
    names = [feature.name for feature in schema.features]
    return [*FIXED, *(name for name in names if name not in FIXED)]


def as_predictions(frame: pd.DataFrame, *, schema: DomainSchema) -> pd.DataFrame:
    """Return the frame with exactly the schema's columns and types; InputError names what is missing or wrong."""
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
        raise InputError(f"predictions: invalid role {unknown[0]!r}: expected one of {', '.join(ROLES)}")
    return typed


def add_predictions(live: Path, frame: pd.DataFrame) -> int:
    """Add rows to the files of their days and return how many were new; a row whose key is known changes nothing."""
    return _add(frame, folder=predictions_folder(live), stamp="received_at", key=KEY)


def read_predictions(
    live: Path, *, start: date, end: date, model_version: int | None = None, roles: Sequence[str] = ROLES
) -> pd.DataFrame:
    """Return the predictions of the UTC days [start, end) in order of receipt; without any, an empty frame without
    columns.

    Raises InputError when the window is empty or a file is not readable.
    """
    frame = _read(predictions_folder(live), start=start, end=end)
    if frame.empty:
        return frame
    keep = frame["role"].isin(list(roles))
    if model_version is not None:
        keep &= frame["model_version"] == model_version
    return frame[keep].sort_values(["received_at", *KEY], ignore_index=True)


def add_labels(live: Path, frame: pd.DataFrame) -> int:
    """Add late labels (`record_id`, `label`, `labeled_at`) to the days they arrived on and return how many were new.

    A column `source`, who gave the label, is kept if there is one: `model` marks a label that only repeats an answer.
    """
    names = ["record_id", "label", *(["source"] if "source" in frame.columns else []), "labeled_at"]
    typed = frame[names].astype(dict.fromkeys(names[:-1], "string"))
    typed["labeled_at"] = typed["labeled_at"].astype("datetime64[us, UTC]")
    return _add(typed, folder=labels_folder(live), stamp="labeled_at", key=["record_id"])


def read_labels(live: Path, *, start: date, end: date) -> pd.DataFrame:
    """Return the labels that arrived on the UTC days [start, end), in that order.

    Raises InputError when the window is empty or a file is not readable.
    """
    frame = _read(labels_folder(live), start=start, end=end)
    return frame.sort_values(["labeled_at", "record_id"], ignore_index=True) if not frame.empty else frame


def days_scored(live: Path, *, before: date) -> list[date]:
    """Return the UTC days before `before` for which any prediction was ever written, in order."""
    files = predictions_folder(live).glob("day=*/part.parquet")
    days = sorted(date.fromisoformat(file.parent.name.removeprefix("day=")) for file in files)
    return [day for day in days if day < before]


def day_folder(folder: Path, day: date) -> Path:
    """Return the folder of one UTC day below a folder of predictions or labels."""
    return folder / f"day={day.isoformat()}"


def _add(frame: pd.DataFrame, *, folder: Path, stamp: str, key: list[str]) -> int:
    import pandas as pd

    added = 0
    for day, given in frame.groupby(frame[stamp].dt.date, sort=True):
        file = day_folder(folder, day) / "part.parquet"
        with locked(file):
            known = pd.read_parquet(file) if file.exists() else given.iloc[:0]
            rows = given.drop_duplicates(key, keep="first")
            old = pd.MultiIndex.from_frame(known[key]) if len(known) else None
            new = rows if old is None else rows[~pd.MultiIndex.from_frame(rows[key]).isin(old)]
            if new.empty:
                continue
            whole = pd.concat([known, new]) if len(known) else new
            for stale in file.parent.glob(
                f".{file.name}.*.partial"
            ):  # left by a killed writer; this process holds the lock
                stale.unlink(missing_ok=True)
            buffer = io.BytesIO()
            whole.sort_values([stamp, *key], ignore_index=True).to_parquet(buffer, index=False, compression="zstd")
            write_atomic(file, buffer.getvalue())
            added += len(new)
    return added


def _read(folder: Path, *, start: date, end: date) -> pd.DataFrame:
    import pandas as pd

    if start >= end:
        raise InputError(f"window [{start}, {end}) is empty: expected start before end")
    frames = []
    for file in _files(folder, start=start, end=end):
        try:
            frames.append(pd.read_parquet(file))
        except (OSError, ValueError) as error:
            raise InputError(f"{file} is not readable: {error}; remove it and write that day again") from error
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _files(folder: Path, *, start: date, end: date) -> Iterator[Path]:
    for offset in range((end - start).days):
        file = day_folder(folder, start + timedelta(days=offset)) / "part.parquet"
        if file.exists():
            yield file
