"""The domains under tests/domains read their real data into canonical records."""

from pathlib import Path

import pandas as pd
import pandera.errors
import pytest

from pipelines.records.domain import Domain

DOMAINS = Path(__file__).resolve().parents[2] / "domains"


def accepted(domain: Domain, raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Records of the rows that pass, and how often each reason refused one."""
    frame = domain.normalize(raw)
    try:
        return domain.to_records(domain.raw_schema.validate(frame, lazy=True)), pd.Series(dtype=int)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
    return domain.to_records(frame.drop(index=cases["index"].unique())), cases["check"].value_counts()


def comment(**changes: str) -> dict[str, str]:
    cells = {"COMMENT_ID": "a", "AUTHOR": "Kim", "DATE": "2015-05-28T21:39:52.376000", "CONTENT": "Love it\ufeff"}
    return {**cells, "CLASS": "0", **changes}


def test_a_comment_becomes_a_record() -> None:
    domain = Domain(DOMAINS / "youtube_spam")
    records, _ = accepted(domain, pd.DataFrame([comment(CONTENT="You &amp; ME\ufeff")], dtype="str"))
    record = records.iloc[0]
    assert (record["id"], record["entity"], record["gold"], record["text"]) == ("a", "Kim", "ham", "You & ME")
    assert record["received_at"] == pd.Timestamp("2015-05-28T21:39:52.376", tz="UTC")
    assert (record["n_words"], record["capital_share"]) == (3.0, 0.6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"DATE": ""}, "DATE is missing"), ({"COMMENT_ID": ""}, "COMMENT_ID is missing"), ({"CLASS": "2"}, "isin")],
)
def test_a_bad_comment_is_refused(change: dict[str, str], reason: str) -> None:
    domain = Domain(DOMAINS / "youtube_spam")
    rows = [comment(), comment(**{"COMMENT_ID": "b", **change})]
    records, reasons = accepted(domain, pd.DataFrame(rows, dtype="str"))
    assert len(records) == 1 and reason in reasons.index[0]


def test_comments_without_classes_have_no_gold() -> None:
    domain = Domain(DOMAINS / "youtube_spam")
    records, _ = accepted(domain, pd.DataFrame([comment()], dtype="str").drop(columns="CLASS"))
    assert records["gold"].isna().all()


def test_rows_of_a_table_have_ids_of_their_place_whatever_the_chunk() -> None:
    domain = Domain(DOMAINS / "tabular")
    cells = {"date_received": "2021-12-07 17:00:00.000000000", "issue": "Fraud", "submitted_via": "Web"}
    raw = pd.DataFrame([cells] * 4, dtype="str").assign(consumer_disputed="Yes")
    raw = raw.assign(_file="/somewhere/table.parquet", _row=[1, 2, 3, 4])
    whole, _ = accepted(domain, raw)
    parts = pd.concat([accepted(domain, raw.iloc[at : at + 2].reset_index(drop=True))[0] for at in (0, 2)])
    assert whole["id"].is_unique
    assert whole["id"].tolist() == parts["id"].tolist()
    assert (whole["received_at"] == pd.Timestamp("2021-12-08", tz="UTC")).all()
    assert (whole["gold"] == "disputed").all()


def test_the_biased_domain_differs_in_its_functions_alone() -> None:
    biased, shipped = (
        Domain(DOMAINS / "complaints_biased"),
        Domain(DOMAINS.parents[1] / "pipelines/domains/complaints"),
    )
    assert biased.schema == shipped.schema
    ours, theirs = ({item.name for item in domain.labeling_functions} for domain in (biased, shipped))
    assert {"sounds_military", "sounds_old_fashioned"} <= ours - theirs


@pytest.mark.realdata
@pytest.mark.slow
def test_real_comments(real_data: Path) -> None:
    files = sorted((real_data / "youtube_spam").glob("*.csv"))
    raw = pd.concat([pd.read_csv(file, dtype=str, keep_default_na=False) for file in files], ignore_index=True)
    records, reasons = accepted(Domain(DOMAINS / "youtube_spam"), raw)
    assert (len(raw), len(records), int(reasons.sum())) == (1956, 1711, 245)
    assert set(records["gold"]) == {"ham", "spam"}
