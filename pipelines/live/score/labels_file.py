"""Late labels from a file: every row is checked before any is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.runtime.project import Project

REQUIRED, OPTIONAL = ("record_id", "label", "labeled_at"), ("obtained", "source")


def add_labels_file(project: Project, file: Path) -> dict[str, Any]:
    """Add the labels of a CSV or Parquet file and return {"labels", "added", "obtained"}.

    Raises InputError, which names the file, column and row, for a file that is not readable, a missing or unknown
    column, an empty cell, an unknown label or `obtained`, and a time without a time zone.
    """
    from pipelines.live.score.params import ScoreParams
    from pipelines.monitoring.live_state import live_folder
    from pipelines.monitoring.predictions import add_labels
    from pipelines.monitoring.sampling import count_obtained
    from pipelines.records.domain import Domain

    frame = _read(file)
    names = [*REQUIRED, *OPTIONAL]
    missing = [name for name in REQUIRED if name not in frame.columns]
    unknown = [str(name) for name in frame.columns if name not in names]
    if missing or unknown:
        what = f"column {missing[0]} is missing" if missing else f"unknown column {unknown[0]!r}"
        raise InputError(f"{file}: {what}: expected {', '.join(REQUIRED)}, and optionally {', '.join(OPTIONAL)}")
    for name in REQUIRED:
        _refuse(file, frame, name, wrong=frame[name].isna() | (frame[name] == ""), expected="a value in every row")
    known = Domain(project.domain_folder).schema.labels
    _refuse(file, frame, "label", wrong=~frame["label"].isin(known), expected=f"one of {', '.join(known)}")
    frame = frame.assign(
        labeled_at=_times(file, frame), **{name: _text(frame[name]) for name in OPTIONAL if name in frame}
    )
    obtained = project.section("score", ScoreParams).labels_obtained
    filled = frame.assign(obtained=frame["obtained"].fillna(obtained) if "obtained" in frame else obtained)
    try:
        added = add_labels(live_folder(project), filled)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    return {"labels": len(frame), "added": added, "obtained": count_obtained(filled)}


def _read(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if file.suffix == ".parquet":
            return pd.read_parquet(file)
        return pd.read_csv(file, dtype="string", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is not readable as a CSV or Parquet file: {error}") from None


def _text(column: pd.Series) -> pd.Series:
    """Return a column as text, empty cells as null."""
    text = column.astype("string")
    return text.mask(text == "")


def _times(file: Path, frame: pd.DataFrame) -> pd.Series:
    import pandas as pd

    given = frame["labeled_at"]
    if isinstance(given.dtype, pd.DatetimeTZDtype):
        return given.dt.tz_convert("UTC")
    text = given.astype("string")
    zoned = text.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$", regex=True).fillna(False)
    times = pd.to_datetime(text.where(zoned), format="ISO8601", utc=True, errors="coerce")
    _refuse(
        file, frame, "labeled_at", wrong=times.isna(), expected="a time with its zone, such as 2026-03-02T09:00:00Z"
    )
    return times


def _refuse(file: Path, frame: pd.DataFrame, name: str, *, wrong: pd.Series, expected: str) -> None:
    """Raise InputError for the first row of a column that is wrong; rows are counted from 1, without the header."""
    if wrong.any():
        row = int(wrong.to_numpy(dtype=bool).argmax())
        raise InputError(f"{file}, row {row + 1}: invalid {name} {str(frame[name].iloc[row])!r}: expected {expected}")
