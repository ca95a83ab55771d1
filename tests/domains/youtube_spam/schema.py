"""Comments under five music videos: spam or not (UCI YouTube Spam Collection, CC BY 4.0)."""

import html
from datetime import datetime

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from pipelines.records.schema import DomainSchema, Feature

SCHEMA = DomainSchema(
    name="youtube_spam",
    labels=("ham", "spam"),
    features=(Feature("n_words", kind="number"), Feature("capital_share", kind="number")),
    protected=(),
    no_protected_because="a comment carries a pen name and nothing else about who wrote it",
    favorable_labels=(),
    strata=(),
    gold_delay_days=1,  # moderated by the next day
    required_columns=("COMMENT_ID", "AUTHOR", "DATE", "CONTENT"),
    requires_text=True,
)
CLASSES = {"0": "ham", "1": "spam"}


class RawSchema(pa.DataFrameModel):
    """A comment has an id of its own, a date and, where it is known, a class."""

    COMMENT_ID: Series[str] = pa.Field(nullable=True)
    DATE: Series[str] = pa.Field(nullable=True)
    CLASS: Series[str] = pa.Field(nullable=True, isin=[*CLASSES])

    @pa.check("COMMENT_ID", ignore_na=False, error="COMMENT_ID is missing")
    def id_is_there(cls, ids: pd.Series) -> pd.Series:
        """Return whether each row has an id."""
        return ids.notna()

    @pa.check("DATE", ignore_na=False, error="DATE is missing or no timestamp like 2013-11-07T06:20:48")
    def date_is_a_date(cls, moments: pd.Series) -> pd.Series:
        """One of the five files lacks the dates of 245 comments."""
        return pd.Series([_moment(moment) is not None for moment in moments], index=moments.index, dtype=bool)


def normalize(raw: pd.DataFrame) -> pd.DataFrame:
    """Trim the headers and make empty cells null."""
    frame = raw.rename(columns=lambda column: str(column).strip().upper()).astype("str")
    frame = frame.mask(frame == "")
    return frame if "CLASS" in frame else frame.assign(CLASS=pd.Series(None, index=frame.index, dtype="str"))


def to_records(raw: pd.DataFrame) -> pd.DataFrame:
    """A comment as a record: HTML entities decoded, the mark at its end removed."""
    text = raw["CONTENT"].fillna("").map(lambda content: html.unescape(content).replace("\ufeff", " ").strip())
    received = pd.to_datetime(raw["DATE"].map(_moment), utc=True)
    gold = raw["CLASS"].map(CLASSES).astype("str")
    letters = text.str.count(r"[A-Za-z]").clip(lower=1)
    return pd.DataFrame(
        {
            "id": raw["COMMENT_ID"],
            "text": text,
            "received_at": received,
            "entity": raw["AUTHOR"],
            "gold": gold,
            "gold_at": (received + pd.Timedelta(days=SCHEMA.gold_delay_days)).where(gold.notna()),
            "n_words": text.str.split().str.len().astype("float64"),
            "capital_share": (text.str.count(r"[A-Z]") / letters).astype("float64"),
        }
    )


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
