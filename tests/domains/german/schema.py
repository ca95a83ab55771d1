"""UCI German credit: is a loan a good risk? A table of 1,000 rows without texts, ids or dates."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute

CATEGORIES = ("status", "credit_history", "purpose", "savings", "employment", "property", "housing")
NUMBERS = ("month", "credit_amount")
SCHEMA = DomainSchema(
    name="german",
    labels=("bad", "good"),
    features=(
        *(Feature(name, kind="category") for name in CATEGORIES),
        *(Feature(name, kind="number") for name in NUMBERS),
    ),
    protected=(ProtectedAttribute("young", member="people up to 25", rest="older people"),),
    no_protected_because=None,
    favorable_labels=("good",),
    strata=(),
    gold_delay_days=0,
    required_columns=("status", "age", "credit_amount"),
    requires_text=False,
)
FIRST_DAY, ROWS_PER_DAY = pd.Timestamp("2024-01-01", tz="UTC"), 5  # the table has no dates: its order takes their place


class RawSchema(pa.DataFrameModel):
    """A row needs an id, and a class if it has one."""

    row_id: Series[str] = pa.Field(unique=True)
    credit: Series[str] = pa.Field(nullable=True, isin=["1", "2"])


def normalize(raw: pd.DataFrame) -> pd.DataFrame:
    """Number the rows."""
    frame = raw.drop(columns=["_file", "_row"], errors="ignore").astype("str")
    frame = frame.mask(frame == "")
    places = raw["_row"] if "_row" in raw else pd.Series(range(1, len(raw) + 1), index=raw.index)
    return frame.assign(row_id=places.astype("str"))


def to_records(raw: pd.DataFrame) -> pd.DataFrame:
    """A row as a record without text."""
    received = FIRST_DAY + pd.to_timedelta(raw["row_id"].astype("int64") // ROWS_PER_DAY, unit="D")
    gold = raw["credit"].map({"1": "good", "2": "bad"}).astype("str")
    return pd.DataFrame(
        {
            "id": raw["row_id"],
            "text": "",
            "received_at": received,
            "entity": pd.Series(None, index=raw.index, dtype="str"),
            "gold": gold,
            "gold_at": received.where(gold.notna()),
            **{name: raw[name] for name in CATEGORIES},
            **{name: pd.to_numeric(raw[name]).astype("float64") for name in NUMBERS},
            "young": pd.to_numeric(raw["age"]).le(25).astype("Int8"),
        }
    )
