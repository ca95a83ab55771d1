"""Raw complaints of the CFPB, in every shape they are published in, and how they become records."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime

import pandas as pd
import pandera.pandas as pa
import polars as pl
from pandera.typing import Series

from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute
from pipelines.runtime.errors import InputError

SCHEMA = DomainSchema(
    name="complaints",
    labels=(
        "credit_reporting",
        "debt_collection",
        "mortgage",
        "card",
        "bank_account",
        "student_loan",
        "vehicle_or_consumer_loan",
        "money_transfer",
        "payday_personal_loan",
    ),
    # Known before anyone chose a product. Sub-product, issue and sub-issue name the product: never features.
    features=(
        Feature("state", kind="category"),
        Feature("channel", kind="category"),
        Feature("company", kind="category"),
        Feature("n_words", kind="number"),
        Feature("amount", kind="number"),
    ),
    protected=(
        ProtectedAttribute("older_american", member="older American", rest="others"),
        ProtectedAttribute("servicemember", member="servicemember", rest="others"),
    ),
    no_protected_because=None,
    favorable_labels=(),  # no product is a benefit: fair means labeled, and routed correctly
    strata=(),
    gold_delay_days=28,  # companies answer within 15 days, a product team confirms the route within four weeks
    required_columns=("complaint_id", "date_received", "product", "narrative"),
    requires_text=True,
    languages=("en",),
    regions=("US",),
)

COLUMNS = (
    *("date_received", "product", "sub_product", "issue", "sub_issue", "narrative", "company_public_response"),
    *("company", "state", "zip_code", "tags", "consumer_consent_provided", "submitted_via", "date_sent_to_company"),
    *("company_response", "timely", "consumer_disputed", "complaint_id"),
)

# Folded header of an export, or the name the search API gives -> our name. The exports of 18 and of 16 columns differ
# in consent and dispute alone.
ALIASES = {
    "consumer_complaint_narrative": "narrative",
    "complaint_what_happened": "narrative",
    "company_response_to_consumer": "company_response",
    "timely_response": "timely",
}

# Names of each product over the years, folded (letters and digits, single underscores).
PRODUCTS = {
    "credit_reporting": "credit_reporting",
    "credit_reporting_repair_or_other": "credit_reporting",
    "credit_reporting_or_other_personal_consumer_reports": "credit_reporting",
    "credit_reporting_credit_repair_services_or_other_personal_consumer_reports": "credit_reporting",
    "debt_collection": "debt_collection",
    "mortgage": "mortgage",
    "credit_card": "card",
    "prepaid_card": "card",
    "credit_card_or_prepaid_card": "card",
    "bank_account_or_service": "bank_account",
    "checking_or_savings_account": "bank_account",
    "student_loan": "student_loan",
    "consumer_loan": "vehicle_or_consumer_loan",
    "vehicle_loan_or_lease": "vehicle_or_consumer_loan",
    "money_transfers": "money_transfer",
    "virtual_currency": "money_transfer",
    "money_transfer_virtual_currency_or_money_service": "money_transfer",
    "payday_loan": "payday_personal_loan",
    "payday_loan_title_loan_or_personal_loan": "payday_personal_loan",
    "payday_loan_title_loan_personal_loan_or_advance_loan": "payday_personal_loan",
} | {label: label for label in SCHEMA.labels}

FIRST_DAY, LAST_DAY = pd.Timestamp("1970-01-01"), pd.Timestamp("2199-12-31")
# 2023-08-25, 2020/3/18, 27-04-2023 and, in the older American exports, 03/18/2014.
DATES = (
    (re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"), (1, 2, 3)),
    (re.compile(r"(\d{1,2})-(\d{1,2})-(\d{4})"), (3, 2, 1)),
    (re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})"), (3, 1, 2)),
)
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:")
AMOUNT = r"\{\$[0-9][0-9,]*(?:\.[0-9]+)?\}"
NOTHING = ("", "N/A", "NA", "None", "null", "nan", "NaN")


class RawSchema(pa.DataFrameModel):
    """Requirements that a row must meet to become a record; every reason names what was expected."""

    complaint_id: Series[str] = pa.Field(nullable=True)
    date_received: Series[str] = pa.Field(nullable=True)
    product: Series[str] = pa.Field(nullable=True)
    narrative: Series[str] = pa.Field(nullable=True)

    @pa.check("complaint_id", ignore_na=False, error="complaint_id is missing")
    def id_is_there(cls, ids: pd.Series) -> pd.Series:
        """Return whether each row has an id."""
        return ids.notna()

    @pa.check("complaint_id", error="complaint_id is not a number")
    def id_is_a_number(cls, ids: pd.Series) -> pd.Series:
        """Return whether each id is a number; another value means that the row was cut or shifted."""
        return ids.astype("str").str.fullmatch(r"\d{1,18}")

    @pa.check("date_received", ignore_na=False, error="date_received is not a date like 2023-08-25")
    def date_is_a_date(cls, days: pd.Series) -> pd.Series:
        """Return whether each cell is a date; `normalize` leaves unreadable cells unchanged."""
        return _is_day(days)

    @pa.check("date_received", error="date_received is outside 1970-01-01..2199-12-31")
    def date_is_plausible(cls, days: pd.Series) -> pd.Series:
        """Epoch zero and dates with a mistyped century are not dates of complaints."""
        text = days.astype("str")
        inside = (text >= str(FIRST_DAY.date())) & (text <= str(LAST_DAY.date()))
        return inside | ~_is_day(days)

    @pa.check("product", error="product is not one of the nine that are routed")
    def product_is_known(cls, products: pd.Series) -> pd.Series:
        """A product without a team is not a gold label; a missing product has not arrived yet."""
        return products.isin(SCHEMA.labels)


def normalize(raw: pd.DataFrame) -> pd.DataFrame:
    """Give columns their canonical names, and dates and products one spelling; unreadable cells stay unchanged."""
    columns = [ALIASES.get(fold(column), fold(column)) for column in raw.columns]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        found = [str(given) for given, name in zip(raw.columns, columns, strict=True) if name in twice]
        raise InputError(f"raw input has {twice[0]!r} more than once (columns {found}); keep one of them")
    cells = {name: raw[given] for given, name in zip(raw.columns, columns, strict=True) if name in COLUMNS}
    frame = pd.DataFrame({name: _blank_to_null(cells[name]) for name in COLUMNS if name in cells}, index=raw.index)
    for name in ("date_received", "date_sent_to_company"):
        if name in frame:
            frame[name] = _recode(frame[name], _iso_day)
    if "product" in frame:
        frame["product"] = _recode(frame["product"], lambda value: PRODUCTS.get(fold(value), value))
    return frame


def to_records(raw: pd.DataFrame) -> pd.DataFrame:
    """Turn normalized rows that passed `RawSchema` into canonical records, gold label and its arrival included."""
    received = pd.to_datetime(raw["date_received"], format="%Y-%m-%d", utc=True).astype("datetime64[us, UTC]")
    text = raw["narrative"].fillna("").astype("str")
    gold = raw["product"].astype("str")
    records = pd.DataFrame(
        {
            "id": raw["complaint_id"].astype("str"),
            "text": text,
            "received_at": received,
            "entity": pd.Series(None, index=raw.index, dtype="str"),  # the database does not name the writer
            "gold": gold,
            "gold_at": (received + pd.Timedelta(days=SCHEMA.gold_delay_days)).where(gold.notna()),
            "state": _column(raw, "state"),
            "channel": _column(raw, "submitted_via"),
            "company": _column(raw, "company"),
            **_numbers(text),
        }
    )
    for attribute, tag in (("older_american", "Older American"), ("servicemember", "Servicemember")):
        # In a file with the column an empty cell means: none of these groups. Without the column it is unknown.
        known = "tags" in raw
        records[attribute] = raw["tags"].fillna("").str.contains(tag, regex=False) if known else pd.NA
        records[attribute] = records[attribute].astype("Int8")
    return records.reset_index(drop=True)


def derive(records: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the features that follow from the text, for live records without them."""
    return _numbers(records["text"].fillna("").astype("str"))


def fold(name: object) -> str:
    """Write a header or a product name in lower case with single underscores."""
    return re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")


def _blank_to_null(cells: pd.Series) -> pd.Series:
    """Return cells as text, with every way in which exports write an empty cell as null."""
    text = cells.astype("str").str.strip()
    return text.mask(text.isin(NOTHING))


def _recode(cells: pd.Series, change: Callable[[str], str]) -> pd.Series:
    """Change each distinct value once: a column of a million dates has a few thousand of them."""
    codes, values = pd.factorize(cells, use_na_sentinel=True)
    changed = pd.Series([change(str(value)) for value in values], dtype="str")
    return pd.Series(changed.reindex(codes).to_numpy(), index=cells.index, dtype="str")


def _is_day(days: pd.Series) -> pd.Series:
    """Return whether each cell is a day of the calendar as `normalize` writes it."""
    return pd.to_datetime(days.astype("str"), format="%Y-%m-%d", errors="coerce").notna()


def _iso_day(text: str) -> str:
    """Return the UTC day of a date in any spelling of the exports and the API, as 2023-08-25; other text unchanged."""
    for spelling, order in DATES:
        if found := spelling.fullmatch(text):
            year, month, day = (int(found[part]) for part in order)
            try:
                return date(year, month, day).isoformat()
            except ValueError:
                return text
    if INSTANT.match(text):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return text
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date().isoformat()
    return text


def _column(raw: pd.DataFrame, name: str) -> pd.Series:
    """Return a column that may be missing."""
    return raw[name].astype("str") if name in raw else pd.Series(None, index=raw.index, dtype="str")


def _numbers(text: pd.Series) -> dict[str, pd.Series]:
    """Return the words per text and the largest sum of money in it (written {$1234.00}), null without one."""
    column = pl.Series("text", text.to_numpy(dtype=object), dtype=pl.String).to_frame().lazy()
    n_words = pl.col("text").str.count_matches(r"\S+").cast(pl.Float64).alias("n_words")
    sums = pl.col("text").str.extract_all(AMOUNT).list.eval(pl.element().str.replace_all(r"[^0-9.]", ""))
    amount = sums.list.eval(pl.element().cast(pl.Float64, strict=False)).list.max().alias("amount")
    numbers = column.select(n_words, amount).collect().to_pandas()
    return {
        name: pd.Series(numbers[name].to_numpy(), index=text.index, dtype="float64") for name in ("n_words", "amount")
    }
