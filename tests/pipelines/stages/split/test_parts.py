"""Parts by time: which part a row is in, what is discarded and why, and a new or frozen anchor set."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.runtime.errors import InputError
from pipelines.stages.split.report import summarize
from pipelines.stages.split.timeline import draw_timeline

DAY = pd.Timedelta(days=1)
PARTS = ("train", "validation", "recent", "anchor")


def ids(parted, part: str) -> set[str]:
    return set(parted.records.loc[parted.place == part, "id"])


def at(parted, part: str) -> pd.Series:
    return parted.records.loc[parted.place == part, "received_at"]


def test_time_goes_train_embargo_validation_recent(split, records) -> None:
    parted = split(records)
    assert at(parted, "train").max() < at(parted, "validation").min() - 20 * DAY
    assert at(parted, "anchor").max() < at(parted, "validation").min() - 20 * DAY
    assert at(parted, "validation").max() < at(parted, "recent").min()
    assert at(parted, "recent").max() < at(parted, "gold_not_due").min()
    assert parted.timeline.gold_end == pd.Timestamp("2025-07-20", tz="UTC") - 20 * DAY
    out = parted.output
    assert out.columns.tolist() == [*records.columns, "part"]
    assert out.loc[out["part"] != "train", "gold"].notna().all()


def test_every_record_has_a_part_or_a_reason(split, records, schema) -> None:
    parted = split(records)
    metrics = summarize(parted, labels=schema.labels, protected=schema.protected)
    assert sum(metrics["parts"].values()) + sum(metrics["discarded"].values()) == metrics["rows_in"] == len(records)
    assert set(metrics["discarded"]) == {"embargo", "gold_not_due"}
    groups = metrics["by_group"]["elder"]
    assert sum(sum(counts.values()) for counts in groups.values()) == len(records)
    assert groups["unknown"] == {}


def test_a_wider_embargo_than_the_gold_delay_is_kept(split, records, params) -> None:
    parted = split(records, params=params.model_copy(update={"embargo_days": 45}))
    assert parted.timeline.embargo_days == 45
    assert at(parted, "train").max() < at(parted, "validation").min() - 45 * DAY


@given(
    n_days=st.integers(1, 120), per_day=st.integers(1, 4), delay=st.integers(0, 40), recent=st.floats(0.05, 0.4),
    validation=st.floats(0.05, 0.4),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_boundaries_are_ordered_days(make_stream_of_any_length, n_days, per_day, delay, recent, validation) -> None:
    records = make_stream_of_any_length(n_days=n_days, per_day=per_day, delay=delay)
    line = draw_timeline(
        records, gold_delay_days=delay, embargo_days=5, recent_share=recent, validation_share=validation,
        complete_gold_share=0.9,
    )  # fmt: skip
    assert line.train_end + max(delay, 5) * DAY == line.validation_start <= line.recent_start <= line.gold_end
    place = line.place(records)
    gold = records["gold"].notna()
    assert gold[place.isin(["validation", "recent"])].all()
    assert (records.loc[place == "train", "received_at"] < line.train_end).all()


@pytest.fixture(scope="module")
def make_stream_of_any_length():
    import importlib.util
    from pathlib import Path

    spec = importlib.util.spec_from_file_location("split_fixtures", Path(__file__).parent / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.stream


def test_gold_that_has_all_arrived_is_used_to_the_last_day(split, make_stream) -> None:
    parted = split(make_stream(delay=0))
    assert "gold_not_due" not in set(parted.place)
    assert parted.timeline.gold_end == pd.Timestamp("2025-07-20", tz="UTC")


def test_a_few_early_labels_of_the_newest_rows_are_not_used(split, records) -> None:
    newest = records.index[records["gold"].isna()]
    records.loc[newest[::4], "gold"] = "lost"
    assert split(records).timeline.gold_end == pd.Timestamp("2025-06-30", tz="UTC")


def test_an_entity_on_both_sides_leaves_the_earlier(split, records) -> None:
    whole = split(records)
    recent = sorted(ids(whole, "recent"))[0]
    others = [sorted(ids(whole, part))[0] for part in ("train", "validation", "anchor")]
    records.loc[records["id"].isin([recent, *others]), "entity"] = "one writer"
    parted = split(records)
    place = parted.place[parted.records["id"].isin(others)]
    assert set(place) == {"entity_in_later_part"}
    assert recent in ids(parted, "recent")


def test_null_entities_are_not_one_entity(split, records) -> None:
    records["entity"] = pd.array([None] * len(records), dtype="string")
    assert "entity_in_later_part" not in set(split(records).place)


def test_a_near_text_on_both_sides_leaves_the_earlier(split, records) -> None:
    whole = split(records)
    train, validation = sorted(ids(whole, "train"))[0], sorted(ids(whole, "validation"))[0]
    text = records.set_index("id").loc[validation, "text"]
    records.loc[records["id"] == train, "text"] = text.upper() + "!"
    parted = split(records)
    assert parted.place[parted.records["id"] == train].tolist() == ["text_in_later_part"]
    assert validation in ids(parted, "validation")


def test_the_first_anchor_set_is_a_share_of_each_class_of_the_oldest_gold(split, records) -> None:
    parted = split(records)
    assert not parted.frozen
    anchor = parted.records[parted.place == "anchor"]
    early = parted.records[(parted.place.isin(["train", "anchor"])) & parted.records["gold"].notna()]
    oldest = early.sort_values(["received_at", "id"]).head(-(-len(early) // 2))
    assert set(anchor["id"]) <= set(oldest["id"])
    wanted = -(-oldest.groupby("gold").size() * 3 // 10)
    assert (anchor.groupby("gold").size() == wanted).all()
    assert not ids(parted, "anchor") & ids(parted, "train")


def test_the_order_of_rows_changes_nothing(split, records) -> None:
    pd.testing.assert_frame_equal(split(records).output, split(records.sample(frac=1, random_state=3)).output)


def frozen_from(split, records) -> pd.DataFrame:
    parted = split(records)
    return parted.records[parted.place == "anchor"].reset_index(drop=True)


def test_a_frozen_anchor_set_replaces_its_rows_and_stays_whole(split, records) -> None:
    frozen = frozen_from(split, records)
    frozen["text"] = frozen["text"] + " as it was at the release"
    later = records[records["received_at"] >= records["received_at"].min() + 40 * DAY].reset_index(drop=True)
    parted = split(later, anchor=frozen)
    assert parted.frozen
    anchor = parted.output[parted.output["part"] == "anchor"].drop(columns="part").reset_index(drop=True)
    pd.testing.assert_frame_equal(anchor, frozen.sort_values(["received_at", "id"], ignore_index=True))
    assert not parted.output["id"].duplicated().any()


def test_what_resembles_a_frozen_anchor_row_leaves_every_other_part(split, records) -> None:
    frozen = frozen_from(split, records)
    whole = split(records, anchor=frozen)
    train, recent = sorted(ids(whole, "train"))[:3], sorted(ids(whole, "recent"))[:2]
    by_id = records.set_index("id")
    by_id.loc[train[0], "text"] = by_id.loc[recent[0], "text"] = frozen["text"][0]
    by_id.loc[[train[1], recent[1]], "entity"] = "anchored"
    frozen.loc[1, "entity"] = "anchored"
    copies = pd.DataFrame({"id": [frozen["id"][2]], "kept_id": [train[2]]}, dtype="string")
    parted = split(by_id.reset_index(), anchor=frozen, copies=copies)
    place = parted.place.set_axis(parted.records["id"])
    assert place[[train[0], recent[0], train[2]]].tolist() == ["text_in_later_part"] * 3
    assert place[[train[1], recent[1]]].tolist() == ["entity_in_later_part"] * 2
    assert ids(parted, "anchor") == set(frozen["id"])


def test_a_frozen_anchor_of_another_domain_is_refused(split, records) -> None:
    frozen = frozen_from(split, records).assign(gold="mortgage")
    with pytest.raises(InputError, match="'mortgage', which domain 'parcels' does not have"):
        split(records, anchor=frozen)


def test_an_anchor_from_before_a_feature_was_added(split, records, verdict) -> None:
    frozen = frozen_from(split, records).drop(columns=["office", "kilos"])
    parted = split(records, anchor=frozen)
    assert parted.output.loc[parted.output["part"] == "anchor", ["office", "kilos"]].isna().all(axis=None)
    assert verdict(parted).passed
