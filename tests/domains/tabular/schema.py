"""Complaints as a table of seven columns without text or ids: was the company's answer disputed?"""

import hashlib
from pathlib import PurePath

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from pipelines.records.schema import DomainSchema, Feature

SCHEMA = DomainSchema(
    name="tabular",
    labels=("accepted", "disputed"),
    features=(
        Feature("issue", kind="category"),
        Feature("channel", kind="category"),
        Feature("response", kind="category"),
        Feature("consent", kind="category"),
        Feature("days_until_sent", kind="number"),
    ),
    protected=(),
    no_protected_because="the table says nothing about who complained",
    favorable_labels=(),
    strata=(),
    gold_delay_days=60,
    required_columns=("date_received", "issue", "submitted_via"),
    requires_text=False,
)
ANSWERS = {"Yes": "disputed", "No": "accepted"}
LATE_BY = pd.Timedelta(hours=7)  # every timestamp of the file is 17:00 of the day before


class RawSchema(pa.DataFrameModel):
    """A row needs an id and a date."""

    row_id: Series[str] = pa.Field(unique=True)
    date_received: Series[str] = pa.Field(nullable=True)

    @pa.check("date_received", ignore_na=False, error="date_received is not a timestamp")
    def date_is_a_date(cls, moments: pd.Series) -> pd.Series:
        """Rows without a day belong to no window."""
        return _moments(moments).notna()


def normalize(raw: pd.DataFrame) -> pd.DataFrame:
    """Give every row an id of the file's name and its place there, and make N/A null."""
    frame = raw.drop(columns=["_file", "_row"], errors="ignore")
    frame = frame.mask(frame.isin(["N/A", ""]))
    places = raw["_row"] if "_row" in raw else pd.Series(range(1, len(raw) + 1), index=raw.index)
    names = raw["_file"] if "_file" in raw else pd.Series("table", index=raw.index)
    prefixes = {name: hashlib.sha256(PurePath(str(name)).name.encode()).hexdigest()[:8] for name in names.unique()}
    return frame.assign(row_id=names.map(prefixes).astype("str") + "-" + places.astype("str"))


def to_records(raw: pd.DataFrame) -> pd.DataFrame:
    """A row as a record without text."""
    received = _moments(raw["date_received"]) + LATE_BY
    gold = _column(raw, "consumer_disputed").map(ANSWERS).astype("str")
    waited = _moments(_column(raw, "date_sent_to_company")) + LATE_BY - received
    return pd.DataFrame(
        {
            "id": raw["row_id"],
            "text": "",
            "received_at": received,
            "entity": pd.Series(None, index=raw.index, dtype="str"),
            "gold": gold,
            "gold_at": (received + pd.Timedelta(days=SCHEMA.gold_delay_days)).where(gold.notna()),
            "issue": _column(raw, "issue"),
            "channel": _column(raw, "submitted_via"),
            "response": _column(raw, "company_response"),
            "consent": _column(raw, "consumer_consent_provided"),
            "days_until_sent": waited.dt.days.astype("float64"),
        }
    )


def _moments(texts: pd.Series) -> pd.Series:
    """Timestamps of texts; each distinct one is read once."""
    codes, values = pd.factorize(texts)
    read = pd.to_datetime(pd.Series(values, dtype="str"), errors="coerce", utc=True, format="ISO8601")
    return pd.Series(read.reindex(codes).array, index=texts.index).astype("datetime64[us, UTC]")


def _column(raw: pd.DataFrame, name: str) -> pd.Series:
    return raw[name].astype("str") if name in raw else pd.Series(None, index=raw.index, dtype="str")
