"""UCI Adult: does a person earn more than 50,000 dollars per year? A table without texts, ids or dates."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute

CATEGORIES = ("workclass", "education", "marital", "occupation")
NUMBERS = ("age", "education_years", "capital_gain", "capital_loss", "hours")
SCHEMA = DomainSchema(
    name="adult",
    labels=("up_to_50k", "more_than_50k"),
    features=(
        *(Feature(name, kind="category") for name in CATEGORIES),
        *(Feature(name, kind="number") for name in NUMBERS),
    ),
    protected=(
        ProtectedAttribute("female", member="women", rest="men"),
        ProtectedAttribute("nonwhite", member="people of color", rest="white people"),
    ),
    no_protected_because=None,
    favorable_labels=("more_than_50k",),
    strata=(),
    gold_delay_days=0,
    required_columns=("age", "sex", "race", "education_years"),
    requires_text=False,
)
FIRST_DAY, ROWS_PER_DAY = (
    pd.Timestamp("2024-01-01", tz="UTC"),
    100,
)  # the table has no dates: its order takes their place


class RawSchema(pa.DataFrameModel):
    """A row needs an id, and a class if it has one."""

    row_id: Series[str] = pa.Field(unique=True)
    income: Series[str] = pa.Field(nullable=True, isin=["<=50K", ">50K"])


def normalize(raw: pd.DataFrame) -> pd.DataFrame:
    """Make unknown values null, and number the rows."""
    frame = raw.drop(columns=["_file", "_row"], errors="ignore").astype("str")
    frame = frame.mask(frame.isin(["?", ""]))
    places = raw["_row"] if "_row" in raw else pd.Series(range(1, len(raw) + 1), index=raw.index)
    return frame.assign(row_id=places.astype("str"))


def to_records(raw: pd.DataFrame) -> pd.DataFrame:
    """A row as a record without text."""
    place = raw["row_id"].astype("int64")
    received = FIRST_DAY + pd.to_timedelta(place // ROWS_PER_DAY, unit="D")
    gold = raw["income"].map({"<=50K": "up_to_50k", ">50K": "more_than_50k"}).astype("str")
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
            "female": raw["sex"].map({"Female": 1, "Male": 0}).astype("Int8"),
            "nonwhite": raw["race"].map(lambda race: int(race != "White"), na_action="ignore").astype("Int8"),
        }
    )
