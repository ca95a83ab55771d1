"""Predictions and late labels on disk: one schema for scoring and serving, one folder per day, each row once.

The domain's features are in columns `category.NAME` and `number.NAME`, so that no feature collides with a column of the
project, and one whose type changed is another column. `features` lists the columns that a row was logged with: a null in
any other column has no meaning. Schema version 1 had plain names; such rows are read as version 2.

Every function takes `live`, the live folder of a model (`live_state.live_folder`).
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.monitoring.sampling import DEFAULT, require_obtained
from pipelines.runtime.errors import InputError
from pipelines.runtime.state import locked, write_atomic

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.records.schema import DomainSchema, Feature

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 2
KINDS = ("category", "number")
ROLES = ("champion", "shadow", "canary")
REMEDY = "restore it from a backup, or remove it and write that day again"
KEY = ["record_id", "model_version", "role"]
LABEL_KEY = ["record_id", "label", "obtained"]
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
    "features",
]


def predictions_folder(live: Path) -> Path:
    """Return the folder of the predictions below the live folder of a model."""
    return live / "predictions"


def labels_folder(live: Path) -> Path:
    """Return the folder of the late labels below the live folder of a model."""
    return live / "labels"


def feature_column(feature: Feature) -> str:
    """Return the column of a feature."""
    return f"{feature.kind}.{feature.name}"


def is_feature(column: str) -> bool:
    """Return whether a column is a feature's."""
    return column.partition(".")[0] in KINDS and "." in column


def columns_of(schema: DomainSchema) -> list[str]:
    """Return the columns of a prediction row: the fixed ones, then the domain's features."""
    return [*FIXED, *map(feature_column, schema.features)]


def logged_with(columns: Sequence[str]) -> str:
    """Return the value of column `features` for rows with these feature columns."""
    return json.dumps(sorted(columns), ensure_ascii=False)


def as_predictions(frame: pd.DataFrame, *, schema: DomainSchema | None = None) -> pd.DataFrame:
    """Return the frame with exactly the log's columns and types; InputError names what is missing or wrong.

    With a `schema`, every feature of the domain must be there.
    """
    frame = in_namespaces(frame, schema=schema)
    features = columns_of(schema)[len(FIXED) :] if schema else [name for name in frame.columns if is_feature(name)]
    wanted = [*FIXED, *features]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise InputError(f"predictions lack the column(s) {', '.join(missing)}")
    typed = frame[wanted].copy()
    for name in wanted:
        if name in ("received_at", "served_at"):
            typed[name] = typed[name].astype("datetime64[us, UTC]")
        elif name in ("schema_version", "model_version", "text_length"):
            typed[name] = typed[name].astype("int64")
        elif name == "confidence" or name.startswith("number."):
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


def in_namespaces(frame: pd.DataFrame, *, schema: DomainSchema | None = None) -> pd.DataFrame:
    """Return rows of any schema version as rows of the present one.

    With a `schema`, only columns that it declares are features; without one the type of a column decides. Where a
    feature of version 1 had the name of a fixed column, only the fixed column was kept.
    """
    import pandas as pd

    if "features" in frame.columns and "schema_version" in frame.columns and (frame["schema_version"] > 1).all():
        return frame
    declared = {item.name: item.kind for item in schema.features} if schema else {}
    renamed = {}
    for name in frame.columns:
        if name not in FIXED and (schema is None or name in declared):
            numeric = pd.api.types.is_numeric_dtype(frame[name])
            renamed[name] = f"{declared.get(str(name)) or ('number' if numeric else 'category')}.{name}"
    return frame.rename(columns=renamed).assign(
        features=logged_with([*renamed.values()]), schema_version=SCHEMA_VERSION
    )


def add_predictions(live: Path, frame: pd.DataFrame) -> int:
    """Add rows to the files of their days and return how many were new; a row whose key is known changes nothing."""
    return _add(frame, folder=predictions_folder(live), stamp="received_at", key=KEY, order=["received_at", *KEY])


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
    frame["features"] = frame["features"].astype("category")  # few values, many rows
    keep = frame["role"].isin(list(roles))
    if model_version is not None:
        keep &= frame["model_version"] == model_version
    return frame[keep].sort_values(["received_at", *KEY], ignore_index=True)


def add_labels(live: Path, frame: pd.DataFrame, *, obtained: str = DEFAULT) -> int:
    """Add late labels (`record_id`, `label`, `labeled_at`) to the days they arrived on and return how many were new.

    A column `obtained` states how each label was obtained (`sampling.OBTAINED`); without it, or where it is null, they
    were obtained as the argument states. A column `source`, who gave the label, is kept if there is one: `model` marks
    a label that only repeats an answer. A record may be labeled again: both labels are kept, and the latest counts.

    Raises InputError for an unknown `obtained`.
    """
    names = ["record_id", "label", *(["source"] if "source" in frame.columns else []), "labeled_at"]
    typed = frame[names].astype(dict.fromkeys(names[:-1], "string"))
    given = frame["obtained"].astype("string") if "obtained" in frame.columns else None
    typed["obtained"] = obtained if given is None else given.fillna(obtained)
    typed["obtained"] = typed["obtained"].astype("string")
    typed["labeled_at"] = typed["labeled_at"].astype("datetime64[us, UTC]")
    require_obtained(typed)
    return _add(
        typed,
        folder=labels_folder(live),
        stamp="labeled_at",
        key=["labeled_at", *LABEL_KEY],
        order=["labeled_at", "record_id"],
    )


def read_labels(live: Path, *, start: date, end: date) -> pd.DataFrame:
    """Return the labels that arrived on the UTC days [start, end), in that order; of one moment, as they were written.

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


def _add(frame: pd.DataFrame, *, folder: Path, stamp: str, key: list[str], order: list[str]) -> int:
    """Add rows to the files of their days; a file that is not readable raises InputError after all others are written."""
    added, damaged = 0, []
    for day, given in frame.groupby(frame[stamp].dt.date, sort=True):
        file = day_folder(folder, day) / "part.parquet"
        try:
            added += _add_to_day(file, given, order=order, key=key)
        except (OSError, ValueError) as error:
            damaged.append(InputError(f"{file} is not readable: {error}; {REMEDY}"))
    if damaged:
        raise damaged[0]
    return added


def _add_to_day(file: Path, given: pd.DataFrame, *, order: list[str], key: list[str]) -> int:
    import pandas as pd

    with locked(file):
        known = _rows_of(file) if file.exists() else given.iloc[:0]
        rows = given.drop_duplicates(key, keep="first")
        old = pd.MultiIndex.from_frame(known[key]) if len(known) else None
        new = rows if old is None else rows[~pd.MultiIndex.from_frame(rows[key]).isin(old)]
        if new.empty:
            return 0
        whole = pd.concat([known, new]) if len(known) else new
        for stale in file.parent.glob(f".{file.name}.*.partial"):  # left by a killed writer; this one holds the lock
            stale.unlink(missing_ok=True)
        buffer = io.BytesIO()
        whole.sort_values(order, ignore_index=True, kind="stable").to_parquet(buffer, index=False, compression="zstd")
        write_atomic(file, buffer.getvalue())
        return len(new)


def _read(folder: Path, *, start: date, end: date) -> pd.DataFrame:
    import pandas as pd

    if start >= end:
        raise InputError(f"window [{start}, {end}) is empty: expected start before end")
    frames = []
    for file in _files(folder, start=start, end=end):
        try:
            frames.append(_rows_of(file))
        except (OSError, ValueError) as error:
            raise InputError(f"{file} is not readable: {error}; {REMEDY}") from error
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _rows_of(file: Path) -> pd.DataFrame:
    """Return the rows of a day; predictions of any schema version as rows of the present one, and labels likewise."""
    import pandas as pd

    frame = pd.read_parquet(file)
    if "model_version" in frame.columns:
        return in_namespaces(frame)
    if "obtained" not in frame.columns:  # stored before labels carried it
        frame["obtained"] = pd.Series(DEFAULT, index=frame.index, dtype="string")
    return frame


def _files(folder: Path, *, start: date, end: date) -> Iterator[Path]:
    for offset in range((end - start).days):
        file = day_folder(folder, start + timedelta(days=offset)) / "part.parquet"
        if file.exists():
            yield file
