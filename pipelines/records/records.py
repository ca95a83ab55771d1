"""The canonical record: its columns, its types, and the check that a frame keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.records.schema import DomainSchema

CANONICAL = ("id", "text", "received_at", "entity", "gold", "gold_at")
PARTS = ("train", "validation", "recent", "anchor")
TIMESTAMP: Literal["datetime64[us, UTC]"] = "datetime64[us, UTC]"


def columns_of(schema: DomainSchema) -> list[str]:
    """Return the columns of `records.parquet` in order: canonical, features, protected attributes."""
    return [*CANONICAL, *(feature.name for feature in schema.features), *(item.name for item in schema.protected)]


def as_canonical(frame: pd.DataFrame, *, schema: DomainSchema) -> pd.DataFrame:
    """Return the frame with exactly the canonical columns and types; InputError names what is missing or invalid."""
    wanted = columns_of(schema)
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise InputError(
            f"domain {schema.name!r}: to_records returned no column {', '.join(missing)}; "
            f"found: {', '.join(map(str, frame.columns))}"
        )
    typed = frame[wanted].copy()
    name = "id"
    try:
        for name in ("id", "text", "entity", "gold"):
            typed[name] = _as_text(typed[name])
        for name in ("received_at", "gold_at"):
            typed[name] = typed[name].astype(TIMESTAMP)
        for feature in schema.features:
            name = feature.name
            typed[name] = _as_text(typed[name]) if feature.kind == "category" else typed[name].astype("float64")
        for attribute in schema.protected:
            name = attribute.name
            typed[name] = typed[name].astype("Int8")
    except (TypeError, ValueError) as error:
        raise InputError(f"domain {schema.name!r}: column {name!r} of to_records has a wrong type: {error}") from error
    for name in ("id", "text", "received_at"):
        if typed[name].isna().any():
            row = int(typed[name].isna().to_numpy().argmax())
            raise InputError(
                f"domain {schema.name!r}: to_records returned a null {name} in row {row}; text may be empty, never null"
            )
    for attribute in schema.protected:
        known = typed[attribute.name]
        wrong = (known.notna() & ~known.isin([0, 1])).to_numpy(dtype=bool)
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"domain {schema.name!r}: to_records returned {attribute.name} = {known.iloc[row]} for record "
                f"{typed['id'].iloc[row]!r}: expected 1 ({attribute.member}), 0 ({attribute.rest}) or null"
            )
    unknown = sorted(set(typed["gold"].dropna().unique()) - set(schema.labels))
    if unknown:
        raise InputError(
            f"domain {schema.name!r}: gold label {unknown[0]!r} is unknown: expected one of {', '.join(schema.labels)}"
        )
    return typed.reset_index(drop=True)


def _as_text(column: pd.Series) -> pd.Series:
    """Return a column of any type as strings, in the spelling that raw cells have: an id is never `1.2e+10`."""
    import pandas as pd

    if isinstance(column.dtype, pd.StringDtype) or pd.api.types.infer_dtype(column, skipna=True) == "string":
        return column.astype("string")
    from pipelines.records.raw import strings_of_frame

    cells = strings_of_frame(column.to_frame(), file="to_records").column(0)
    return pd.Series(cells.to_pylist(), index=column.index, dtype="string")
