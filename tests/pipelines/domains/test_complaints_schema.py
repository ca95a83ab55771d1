"""The complaints in every shape they are published in become the same records, and bad cells are refused by reason."""

from pathlib import Path

import pandas as pd
import pandera.errors
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.domains.complaints.schema import COLUMNS, PRODUCTS, SCHEMA, RawSchema, normalize, to_records
from pipelines.domains.complaints.simulator import COLUMNS as EXPORT_18
from pipelines.records.records import as_canonical
from pipelines.runtime.errors import InputError

GONE_IN_2026 = ("Consumer consent provided?", "Consumer disputed?")
CELLS = {
    "Date received": "2023-04-27",
    "Product": "Checking or savings account",
    "Sub-product": "Checking account",
    "Issue": "Managing an account",
    "Sub-issue": None,
    "Consumer complaint narrative": "The bank took {$35.00} and then {$1,240.50}.",
    "Company public response": None,
    "Company": "WELLS FARGO & COMPANY",
    "State": "PA",
    "ZIP code": "191XX",
    "Tags": "Older American, Servicemember",
    "Consumer consent provided?": "Consent provided",
    "Submitted via": "Web",
    "Date sent to company": "2023-04-28",
    "Company response to consumer": "Closed with explanation",
    "Timely response?": "Yes",
    "Consumer disputed?": "N/A",
    "Complaint ID": "6896026",
}
API = {
    "complaint_id": "6896026",
    "date_received": "2023-04-27T12:00:00-05:00",
    "date_sent_to_company": "2023-04-28T12:00:00-05:00",
    "product": "Checking or savings account",
    "sub_product": "Checking account",
    "issue": "Managing an account",
    "sub_issue": None,
    "complaint_what_happened": CELLS["Consumer complaint narrative"],
    "company": "WELLS FARGO & COMPANY",
    "company_response": "Closed with explanation",
    "company_public_response": None,
    "state": "PA",
    "zip_code": "191XX",
    "tags": "Older American, Servicemember",
    "submitted_via": "Web",
    "timely": "Yes",
    "has_narrative": "true",
}


def frame_of(*changes: dict[str, str | None]) -> pd.DataFrame:
    """Rows like `CELLS` with changes, ids of their own where none is given."""
    rows = [{**CELLS, "Complaint ID": str(100 + place), **change} for place, change in enumerate(changes)]
    return pd.DataFrame(rows, dtype="str")


def refused(*changes: dict[str, str | None]) -> list[str | None]:
    """The first reason each row is refused for, None where it is not."""
    frame = normalize(frame_of(*changes))
    try:
        RawSchema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases.drop_duplicates("index").set_index("index")["check"]
        return [cases.get(place) for place in range(len(frame))]
    return [None] * len(frame)


def records_of(raw: pd.DataFrame) -> pd.DataFrame:
    return as_canonical(to_records(RawSchema.validate(normalize(raw), lazy=True)), schema=SCHEMA)


STYLES = {
    "export_18": pd.DataFrame([CELLS], dtype="str"),
    "export_16": pd.DataFrame([CELLS], dtype="str").drop(columns=list(GONE_IN_2026)),
    "underscores": pd.DataFrame([CELLS], dtype="str").rename(columns=lambda name: name.replace(" ", "_")),
    "sub_product_with_underscore": pd.DataFrame([CELLS], dtype="str").rename(columns={"Sub-product": "Sub_product"}),
    "shouting_and_spaces": pd.DataFrame([CELLS], dtype="str").rename(columns=lambda name: f" {name.upper()} "),
    "day_first": pd.DataFrame([{**CELLS, "Date received": "27-04-2023"}], dtype="str"),
    "slashes": pd.DataFrame([{**CELLS, "Date received": "2023/4/27"}], dtype="str"),
    "american": pd.DataFrame([{**CELLS, "Date received": "04/27/2023"}], dtype="str"),
    "search_api": pd.DataFrame([API], dtype="str"),
}


@pytest.mark.parametrize("style", STYLES)
def test_every_style_gives_the_same_record(style: str) -> None:
    record = records_of(STYLES[style]).iloc[0]
    assert record["id"] == "6896026"
    assert record["received_at"] == pd.Timestamp("2023-04-27", tz="UTC")
    assert record["gold"] == "bank_account"
    assert record["gold_at"] == record["received_at"] + pd.Timedelta(days=SCHEMA.gold_delay_days)
    assert (record["state"], record["channel"], record["company"]) == ("PA", "Web", "WELLS FARGO & COMPANY")
    assert (record["n_words"], record["amount"]) == (7.0, 1240.5)
    assert (record["older_american"], record["servicemember"]) == (1, 1)


def test_headers_of_the_simulator_are_those_of_the_export() -> None:
    assert tuple(CELLS) == EXPORT_18
    assert tuple(normalize(pd.DataFrame([CELLS], dtype="str")).columns) == COLUMNS


@pytest.mark.parametrize(("product", "label"), [(name, label) for name, label in PRODUCTS.items()])
def test_every_spelling_of_a_product_has_a_label(product: str, label: str) -> None:
    assert label in SCHEMA.labels
    assert normalize(frame_of({"Product": product}))["product"].item() == label


def test_leaks_are_no_features() -> None:
    names = {feature.name for feature in SCHEMA.features}
    assert not names & {"sub_product", "issue", "sub_issue", "product", "company_response"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Date received": "yesterday"}, "date_received is not a date"),
        ({"Date received": None}, "date_received is not a date"),
        ({"Date received": "2023-02-30"}, "date_received is not a date"),
        ({"Date received": "27/04/2023"}, "date_received is not a date"),
        ({"Date received": "1969-12-31"}, "outside 1970-01-01"),
        ({"Date received": "9999-01-01"}, "outside 1970-01-01"),
        ({"Complaint ID": None}, "complaint_id is missing"),
        ({"Complaint ID": "Closed with explanation"}, "complaint_id is not a number"),
        ({"Product": "Debt or credit management"}, "product is not one of the nine"),
        ({"Product": "1240"}, "product is not one of the nine"),
    ],
)
def test_a_bad_cell_is_refused_with_its_reason(change: dict[str, str | None], reason: str) -> None:
    good, bad = refused({}, change)
    assert good is None
    assert bad is not None and reason in bad


def test_repeated_ids_are_for_ingest_to_settle_over_all_chunks() -> None:
    assert refused({"Complaint ID": "7"}, {"Complaint ID": "7"}) == [None, None]


def test_dates_far_ahead_are_for_the_window_to_refuse() -> None:
    assert refused({"Date received": "2040-05-01"}) == [None]


def test_a_missing_product_is_gold_that_has_not_arrived() -> None:
    record = records_of(frame_of({"Product": None})).iloc[0]
    assert pd.isna(record["gold"]) and pd.isna(record["gold_at"])


def test_no_gold_at_all_and_one_class_only_are_records_too() -> None:
    assert records_of(frame_of({"Product": None}, {"Product": None}))["gold"].isna().all()
    assert records_of(frame_of({}, {}))["gold"].nunique() == 1


def test_a_missing_narrative_is_an_empty_text() -> None:
    record = records_of(frame_of({"Consumer complaint narrative": None})).iloc[0]
    assert record["text"] == "" and record["n_words"] == 0 and pd.isna(record["amount"])


def test_without_the_tags_column_the_groups_are_unknown() -> None:
    records = records_of(frame_of({}).drop(columns="Tags"))
    assert records["older_american"].isna().all() and records["servicemember"].isna().all()
    empty = records_of(frame_of({"Tags": None}))
    assert empty["older_american"].item() == 0 and empty["servicemember"].item() == 0


def test_a_missing_required_column_stays_missing_for_ingest_to_name() -> None:
    assert "product" not in normalize(frame_of({}).drop(columns="Product"))
    assert set(SCHEMA.required_columns) <= set(COLUMNS)


def test_a_column_given_twice_is_refused_by_name() -> None:
    raw = frame_of({}).assign(Date_received="2020-01-01")
    with pytest.raises(InputError, match=r"'date_received' more than once.*Date received.*Date_received"):
        normalize(raw)


def test_unknown_columns_are_ignored() -> None:
    assert list(normalize(frame_of({}).assign(**{"A new column": "x"})).columns) == list(COLUMNS)


def test_control_characters_html_and_huge_texts_pass_through() -> None:
    texts = ["<b>bank</b>\x07\x00", "x" * 10_000_000, "\ud7ff é 😀"]
    records = records_of(frame_of(*({"Consumer complaint narrative": text} for text in texts)))
    assert records["text"].tolist() == texts


def test_no_rows_are_no_records() -> None:
    records = records_of(frame_of({}).iloc[:0])
    assert len(records) == 0


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=30)), min_size=1, max_size=8), st.sampled_from(list(CELLS)))
def test_normalize_drops_no_row_and_never_fails(values: list[str | None], column: str) -> None:
    raw = frame_of(*({column: value} for value in values))
    frame = normalize(raw)
    assert frame.index.equals(raw.index)
    try:
        valid = RawSchema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        valid = RawSchema.validate(frame.drop(index=error.failure_cases["index"].dropna().unique()))
    assert len(as_canonical(to_records(valid), schema=SCHEMA)) == len(valid)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.dates(min_value=pd.Timestamp("1970-01-01").date(), max_value=pd.Timestamp("2199-12-31").date()))
def test_a_day_is_the_same_in_every_spelling(day: object) -> None:
    spellings = [
        f"{day:%Y-%m-%d}",
        f"{day:%d-%m-%Y}",
        f"{day:%Y/%m/%d}",
        f"{day:%m/%d/%Y}",
        f"{day:%Y-%m-%d}T12:00:00Z",
    ]
    frame = normalize(frame_of(*({"Date received": spelling} for spelling in spellings)))
    assert frame["date_received"].nunique() == 1
    assert not any(refused(*({"Date received": spelling} for spelling in spellings)))


@pytest.mark.realdata
@pytest.mark.slow
def test_three_real_exports_are_the_rows_of_their_union(real_data: Path) -> None:
    """Two header styles and three date formats give equal records by complaint id."""

    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(
            real_data / "cfpb" / name, dtype=str, keep_default_na=False, engine="python", on_bad_lines="skip"
        )

    def known(raw: pd.DataFrame) -> pd.DataFrame:
        return to_records((frame := normalize(raw))[frame["product"].isin(SCHEMA.labels)])

    parts = [read(f"export_variant_{letter}.csv") for letter in "abc"]
    union = pd.concat([known(part) for part in parts]).sort_values("id", ignore_index=True)
    whole = known(pd.read_csv(real_data / "cfpb/complaints.csv.gz", dtype=str, keep_default_na=False))
    whole = whole[whole["id"].isin(union["id"])].sort_values("id", ignore_index=True)
    assert len(union) > 12_600 and union["id"].is_unique
    pd.testing.assert_frame_equal(union, whole)
