"""The simulated stream: the same bytes for a day whatever the window, known copies, known bias, drift and faults."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.domains.complaints.schema import SCHEMA, RawSchema, normalize, to_records
from pipelines.domains.complaints.simulator import COLUMNS, NARRATIVE, duplicate_pairs, stream
from pipelines.domains.complaints.simulator_text import (
    GENERIC,
    KEY_TERMS,
    LETTER,
    NEW_GENERIC,
    OPENINGS,
    PHRASES,
    SENTENCES,
    jaccard,
)
from pipelines.records.phrases import parse
from pipelines.runtime.errors import ParamsError

FOLDER = Path(__file__).resolve().parents[3] / "pipelines/domains/complaints"
PARAMETERS: dict[str, Any] = yaml.safe_load((FOLDER / "params.yaml").read_text(encoding="utf-8"))["simulator"]
DAYS = st.dates(min_value=date(1971, 1, 1), max_value=date(2190, 1, 1))


def window(start: date, days: int, *, seed: int = 7, **changes: Any) -> pd.DataFrame:
    frames = stream(start=start, end=start + timedelta(days=days), seed=seed, **{**PARAMETERS, **changes})
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def quarter() -> pd.DataFrame:
    """Thirteen weeks of raw rows."""
    return window(date(2025, 3, 3), 91)


def shares(frame: pd.DataFrame) -> pd.Series:
    return frame["Product"].value_counts(normalize=True)


def test_a_frame_a_day_with_the_columns_of_the_export() -> None:
    frames = list(stream(start=date(2025, 3, 3), end=date(2025, 3, 6), seed=1, **PARAMETERS))
    assert [frame["Date received"].unique().tolist() for frame in frames] == [
        ["2025-03-03"],
        ["2025-03-04"],
        ["2025-03-05"],
    ]
    assert all(tuple(frame.columns) == COLUMNS for frame in frames)


@settings(max_examples=15, deadline=None)
@given(DAYS, st.integers(0, 2**63), st.integers(0, 5), st.integers(1, 4))
def test_windows_agree_where_they_overlap(start: date, seed: int, shift: int, days: int) -> None:
    long = window(start, shift + days, seed=seed, rows_per_day=4)
    short = window(start + timedelta(days=shift), days, seed=seed, rows_per_day=4)
    first = (start + timedelta(days=shift)).isoformat()
    pd.testing.assert_frame_equal(long[long["Date received"] >= first].reset_index(drop=True), short)


@settings(max_examples=10, deadline=None)
@given(DAYS, st.integers(0, 2**63))
def test_any_day_of_any_seed_is_valid_input(start: date, seed: int) -> None:
    frame = normalize(window(start, 3, seed=seed, rows_per_day=8))
    records = to_records(RawSchema.validate(frame, lazy=True))
    assert records["id"].is_unique
    assert (records["received_at"].dt.date >= start).all()


@pytest.mark.parametrize("start", [date(1999, 12, 30), date(2040, 2, 27), date(1, 1, 1), date(9999, 12, 25)])
def test_the_calendar_has_no_edges(start: date) -> None:
    assert len(window(start, 5)) > 50


def test_seeds_differ_in_text_and_id() -> None:
    one, other = window(date(2025, 3, 3), 3, seed=1), window(date(2025, 3, 3), 3, seed=2)
    assert not set(one[NARRATIVE].dropna()) & set(other[NARRATIVE].dropna())
    assert not set(one["Complaint ID"]) & set(other["Complaint ID"])


def test_an_empty_window_has_no_frames() -> None:
    assert list(stream(start=date(2025, 3, 3), end=date(2025, 3, 3), seed=1, **PARAMETERS)) == []


@pytest.mark.slow
def test_shares_follow_the_parameters(quarter: pd.DataFrame) -> None:
    records = to_records(normalize(quarter))
    gold = records["gold"].value_counts(normalize=True)
    for label, share in PARAMETERS["class_shares"].items():
        assert gold[label] == pytest.approx(share, rel=0.35), label
    assert records["older_american"].mean() == pytest.approx(PARAMETERS["older_american_share"], abs=0.025)
    assert records["servicemember"].mean() == pytest.approx(PARAMETERS["servicemember_share"], abs=0.025)
    assert (records["text"] == "").mean() == pytest.approx(PARAMETERS["no_narrative_share"], abs=0.012)
    assert len(quarter) == pytest.approx(91 * PARAMETERS["rows_per_day"], rel=0.06)
    lengths = records["text"][records["text"] != ""].str.len()
    assert 650 < lengths.median() < 950  # 792 in the published narratives
    assert lengths.quantile(0.9) > 1_700  # 2,235 there
    assert quarter.groupby(quarter["Product"])["Company"].agg(
        lambda names: names.value_counts().iloc[0]
    ).sum() < 0.6 * len(quarter)


@pytest.mark.slow
def test_copies_are_known_and_texts_are_seldom_equal_by_chance(quarter: pd.DataFrame) -> None:
    pairs = duplicate_pairs(start=date(2025, 3, 3), end=date(2025, 6, 2), seed=7, **PARAMETERS)
    text = quarter.set_index("Complaint ID")[NARRATIVE]
    near = pairs["jaccard"] >= 0.8
    assert 0.05 <= near.sum() / len(quarter) <= 0.10
    assert (pairs.loc[pairs["kind"] == "exact", "jaccard"] == 1).all()
    assert (~near).any() and (pairs.loc[pairs["kind"] == "loose", "jaccard"] < 0.8).mean() > 0.95
    assert (pairs.loc[pairs["kind"] == "near", "jaccard"] >= 0.8).mean() > 0.97
    with_text = pairs[pairs["id"].map(text).notna() & pairs["source_id"].map(text).notna()]
    for row in with_text.head(40).itertuples():
        assert jaccard(text[row.id], text[row.source_id]) == pytest.approx(row.jaccard)
    days = pairs["id"].str[3:9].astype(int) - pairs["source_id"].str[3:9].astype(int)
    assert days.between(1, 42).all()
    originals = text[~text.index.isin(pairs["id"])].dropna()
    assert originals.duplicated().mean() < 0.03  # sources before the window have copies in it


def test_no_copies_when_none_are_asked_for() -> None:
    pairs = duplicate_pairs(
        start=date(2025, 3, 3), end=date(2025, 3, 10), seed=7, **{**PARAMETERS, "duplicate_share": 0}
    )
    assert len(pairs) == 0
    assert window(date(2025, 3, 3), 28, duplicate_share=0)[NARRATIVE].dropna().is_unique


def test_protected_groups_have_words_of_their_own() -> None:
    frame = window(date(2025, 3, 3), 42, group_wording=1.0, typo_share=0)
    for group, tag in (("older_american", "Older American"), ("servicemember", "Servicemember")):
        terms = "|".join(term for wordings in KEY_TERMS.values() for term in wordings[group])  # type: ignore[index]
        uses = frame[NARRATIVE].fillna("").str.contains(terms)
        alone = frame["Tags"] == tag
        assert uses[alone].mean() > 0.85
        assert uses[frame["Tags"].isna()].mean() < 0.02
    plain = window(date(2025, 3, 3), 14, group_wording=0.0, typo_share=0)
    assert not plain[NARRATIVE].fillna("").str.contains("house note|Star card|passbook").any()


@pytest.mark.slow
def test_without_drift_the_weeks_are_alike_and_with_it_they_move() -> None:
    before, after = window(date(2025, 3, 3), 56), window(date(2026, 3, 2), 56)
    assert (shares(before) - shares(after)).abs().sum() < 0.12
    drifted = window(date(2025, 3, 3), 112, drift_date=date(2025, 4, 28))
    early, late = drifted[drifted["Date received"] < "2025-04-28"], drifted[drifted["Date received"] >= "2025-04-28"]
    pd.testing.assert_frame_equal(early.reset_index(drop=True), before)
    assert (shares(early) - shares(late)).abs().sum() > 0.3
    assert late[NARRATIVE].str.len().median() > 1.2 * early[NARRATIVE].str.len().median()
    assert late[NARRATIVE].str.contains("chatbot|passkey", na=False).mean() > 0.2
    assert not early[NARRATIVE].str.contains("chatbot|passkey", na=False).any()
    assert late["Company"].str.contains("Affirm|Klarna").mean() > 0.05


def test_concept_drift_changes_words_and_not_products() -> None:
    concept = {"covariate": 0.0, "concept": 1.0}
    changes: dict[str, Any] = {"label_noise": 0, "duplicate_share": 0, "typo_share": 0}
    usual = window(date(2025, 3, 3), 14, **changes)
    moved = window(date(2025, 3, 3), 14, drift_date=date(2025, 3, 3), drift=concept, **changes)
    assert (shares(usual) - shares(moved)).abs().sum() < 0.25

    def speaks_of_house(frame: pd.DataFrame, product: str) -> float:
        own = frame[frame["Product"] == product]
        return own[NARRATIVE].str.contains("mortgage|escrow|house note|VA ", na=False).mean()

    assert speaks_of_house(usual, "Mortgage") > 0.8
    assert speaks_of_house(moved, "Debt collection") > 0.8


def broken(kind: str, **more: Any) -> pd.DataFrame:
    fault = {"kind": kind, "from": date(2025, 3, 4), "to": date(2025, 3, 6), **more}
    return window(date(2025, 3, 3), 5, faults=[fault])


def by_day(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return dict(list(frame.groupby("Date received")))


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "stale_day"},
        {"kind": "shrunken", "factor": 0.2},
        {"kind": "null_column", "column": "State"},
        {"kind": "unit_change", "factor": 100.0},
        {"kind": "covariate", "factor": 0.8},
        {"kind": "concept", "factor": 0.8},
    ],
)
def test_a_fault_hits_its_days_alone(fault: dict[str, Any]) -> None:
    usual, hit = by_day(window(date(2025, 3, 3), 5, duplicate_share=0)), {}
    hit = by_day(
        window(
            date(2025, 3, 3), 5, duplicate_share=0, faults=[{**fault, "from": date(2025, 3, 4), "to": date(2025, 3, 6)}]
        )
    )
    for day in ("2025-03-03", "2025-03-06", "2025-03-07"):
        assert hit[day].reset_index(drop=True).equals(usual[day].reset_index(drop=True))
    for day in ("2025-03-04", "2025-03-05"):
        assert day not in hit or not hit[day].reset_index(drop=True).equals(usual[day].reset_index(drop=True))


def test_faults_do_what_they_declare() -> None:
    usual = by_day(window(date(2025, 3, 3), 5))["2025-03-04"]
    assert "2025-03-04" not in by_day(broken("stale_day"))
    assert len(by_day(broken("shrunken", factor=0.2))["2025-03-04"]) < 0.5 * len(usual)
    assert by_day(broken("null_column", column="State"))["2025-03-04"]["State"].isna().all()
    half = by_day(broken("null_column", column="State", factor=0.5))["2025-03-04"]["State"]
    assert 0.2 < half.isna().mean() < 0.8
    cents = to_records(normalize(by_day(broken("unit_change"))["2025-03-04"]))
    dollars = to_records(normalize(usual))
    assert cents["amount"].dropna().to_numpy() == pytest.approx(100 * dollars["amount"].dropna().to_numpy())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"typo_share": 2}, r"simulator\.typo_share = 2: .*less than or equal to 1"),
        ({"rows": 3}, r"simulator\.rows = 3: Extra inputs"),
        ({"class_shares": {"card": 1}}, r"simulator\.class_shares.*credit_reporting"),
        (
            {"faults": [{"kind": "flood", "from": "2025-01-01", "to": "2025-01-02"}]},
            r"simulator\.faults\.0\.kind = 'flood'",
        ),
        (
            {"faults": [{"kind": "null_column", "from": "2025-01-01", "to": "2025-01-02", "column": "Stat"}]},
            r"column = 'Stat': expected one of Date received",
        ),
    ],
)
def test_a_wrong_parameter_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        window(date(2025, 3, 3), 1, **changes)


def test_the_grammar_is_well_formed_and_covers_the_labels() -> None:
    assert set(SENTENCES) == set(SCHEMA.labels)
    sentences = [sentence for pool in SENTENCES.values() for sentence in pool]
    phrases = [phrase for pool in PHRASES.values() for phrase in pool]
    for text in (*sentences, *phrases, *GENERIC, *NEW_GENERIC, *OPENINGS, *LETTER):
        assert parse(text)
    with pytest.raises(ValueError, match="unbalanced"):
        parse("[one|two")
