"""The gate of split: clean records open it; each planted leak, and each lack, closes it and is named."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pipelines.records.schema import Feature
from pipelines.stages.split import leaks
from pipelines.stages.split.checks import crossing_checks
from pipelines.text.shingles import NearDuplicateParams, fingerprint


def closed_by(found) -> list[str]:
    return [check.name for check in found.closed_by]


def test_clean_records_open_the_gate(split, records, verdict) -> None:
    found = verdict(split(records))
    assert found.passed, [check.describe() for check in found.closed_by]
    assert found.checks[0].name == "conservation" and found.checks[0].outcome == "passed"


def test_a_record_that_is_in_no_part_and_not_left_out_closes(split, records, verdict) -> None:
    parted = split(records)
    for at in (np.flatnonzero(parted.place == "train")[0], np.flatnonzero(parted.place == "embargo")[0]):
        rows, place = parted.records.drop(index=at), parted.place.drop(index=at)
        assert closed_by(verdict(dataclasses.replace(parted, records=rows, place=place))) == ["conservation"]


def test_a_frozen_anchor_row_that_came_with_the_champion_is_accounted_for(split, records, verdict) -> None:
    anchor = split(records).output.query("part == 'anchor'").drop(columns="part")
    parted = split(records[~records["id"].isin(anchor["id"].head(3))].reset_index(drop=True), anchor=anchor)
    assert len(parted.came_in) == len(records) and verdict(parted).checks[0].outcome == "passed"


def codes(records: pd.DataFrame) -> np.ndarray:
    known = records["gold"].map({"lost": 0.0, "late": 1.0, "broken": 2.0})
    return known.fillna(0.0).to_numpy(dtype=float)


def test_a_category_that_names_the_label_closes(split, records, verdict) -> None:
    records["office"] = records["gold"].fillna("none").astype("string") + "-desk"
    assert closed_by(verdict(split(records))) == ["leak_office", "giveaways"]


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_number_that_names_the_label_closes(split, records, verdict, noise) -> None:
    records["kilos"] = codes(records) + np.random.default_rng(1).normal(0, noise, len(records))
    assert closed_by(verdict(split(records))) == ["leak_kilos"]


def test_a_missing_value_that_names_the_label_closes(split, records, verdict) -> None:
    records["gold"] = records["gold"].where(records["gold"].isna() | (records["gold"] == "lost"), "late")
    records["kilos"] = records["kilos"].where(records["gold"] == "lost")
    assert closed_by(verdict(split(records))) == ["leak_kilos"]


def test_a_telling_but_honest_feature_passes(split, records, verdict) -> None:
    honest = np.random.default_rng(2).random(len(records)) < 0.74
    records["office"] = records["gold"].where(honest, "elsewhere").astype("string")
    check = next(check for check in verdict(split(records)).checks if check.name == "leak_office")
    assert check.outcome == "passed"
    assert 0.7 < check.value < 0.9


def test_a_column_of_ids_predicts_nothing(split, records, verdict) -> None:
    records["office"] = records["id"]
    assert verdict(split(records)).passed


def test_a_frequent_class_does_not_close_by_itself(split, records, verdict) -> None:
    rare = np.random.default_rng(3).random(len(records)) < 0.06
    records["gold"] = records["gold"].where(records["gold"].isna(), pd.Series(np.where(rare, "late", "lost")))
    found = verdict(split(records))
    assert not [name for name in closed_by(found) if name.startswith("leak_")]
    records["office"] = records["gold"].fillna("none").astype("string")
    assert "leak_office" in closed_by(verdict(split(records)))


def test_too_few_gold_rows_leave_a_leak_undecided_and_closed(split, records, verdict, params) -> None:
    strict = params.model_copy(update={"leak": params.leak.model_copy(update={"min_rows": 10_000})})
    found = verdict(split(records), params=strict)
    assert {check.outcome for check in found.closed_by} == {"undecided"}
    assert closed_by(found) == ["leak_office", "leak_kilos"]


def mutated(parted, **columns):
    return dataclasses.replace(parted, records=parted.records.assign(**columns))


def one_of_each(parted) -> np.ndarray:
    train = np.flatnonzero(parted.place == "train")[0]
    return np.array([train, np.flatnonzero(parted.place == "recent")[0]])


def test_an_entity_in_two_parts_closes(split, records, verdict) -> None:
    parted = split(records)
    entity = parted.records["entity"].copy()
    entity.iloc[one_of_each(parted)] = "both"
    assert closed_by(verdict(mutated(parted, entity=entity))) == ["entities_across_parts"]


@pytest.mark.parametrize("change", ["", " Really."])
def test_a_text_in_two_parts_closes(split, records, verdict, change) -> None:
    parted = split(records)
    text, (train, recent) = parted.records["text"].copy(), one_of_each(parted)
    text.iloc[recent] = text.iloc[train].upper() + change
    assert closed_by(verdict(mutated(parted, text=text))) == ["texts_across_parts"]


def test_a_row_in_two_parts_closes(split, records, verdict) -> None:
    parted = split(records)
    key = parted.records["id"].copy()
    key.iloc[one_of_each(parted)] = "both"
    assert closed_by(verdict(mutated(parted, id=key))) == ["conservation", "rows_across_parts"]


def test_a_training_row_inside_the_embargo_closes(split, records, verdict) -> None:
    parted = split(records)
    place = parted.place.copy()
    place.iloc[np.flatnonzero(place == "embargo")[-1]] = "train"
    assert closed_by(verdict(dataclasses.replace(parted, place=place))) == ["embargo_days"]


def test_one_entity_for_all_rows_leaves_no_row_to_train_on_and_names_the_reason(split, records, verdict) -> None:
    parted = split(records.assign(entity="all of them"))
    sentence = {check.name: check.sentence for check in verdict(parted).checks}["train_rows"]
    assert "0 rows are in train" in sentence and "; in no part: " in sentence
    assert f"{(parted.place == 'entity_in_later_part').sum()} entity in later part" in sentence


def test_no_gold_at_all_closes_with_reasons(split, records, verdict) -> None:
    records["gold"] = pd.array([None] * len(records), dtype="string")
    found = verdict(split(records))
    assert {"embargo_days", "recent_rows", "recent_classes", "leak_office"} <= set(closed_by(found))
    assert any("no gold row to test on" in check.sentence for check in found.closed_by)


def test_one_class_only_closes(split, records, verdict) -> None:
    records["gold"] = records["gold"].where(records["gold"].isna(), "lost")
    assert set(closed_by(verdict(split(records)))) == {"validation_classes", "recent_classes", "anchor_classes"}


@pytest.mark.parametrize("n_days", [1, 3, 25, 60])
def test_a_short_window_closes_and_does_not_crash(split, make_stream, verdict, n_days) -> None:
    found = verdict(split(make_stream(n_days=n_days)))
    assert "train_rows" in closed_by(found)


def test_no_records_at_all_close(split, records, verdict) -> None:
    assert "train_rows" in closed_by(verdict(split(records.iloc[:0])))


def test_a_small_class_is_undecided_and_named(split, records, verdict, params) -> None:
    found = verdict(split(records), params=params.model_copy(update={"min_class_rows": 40}))
    check = next(check for check in found.checks if check.name == "validation_class_rows")
    assert check.outcome == "undecided"
    assert "broken" in check.sentence
    assert found.passed


def test_gaps_of_years_change_no_share(split, records) -> None:
    late = records.index[len(records) // 2 :]
    for column in ("received_at", "gold_at"):
        records.loc[late, column] += pd.Timedelta(days=1200)
    parted = split(records)
    n_gold = int((records["gold"].notna()).sum())
    assert 0.13 * n_gold <= (parted.place == "recent").sum() <= 0.17 * n_gold


def test_bins_hold_about_the_rows_asked_for() -> None:
    values = pd.Series(np.random.default_rng(0).normal(size=1000))
    cells = leaks.categories(values, learned=np.ones(1000, bool), rows_per_bin=20)
    assert 40 <= len(set(cells)) <= 51


def test_crossings_are_counted_once(schema) -> None:
    parts = ["train", "recent", "recent", "anchor"]
    frame = pd.DataFrame({"text": ["a b c", "A b c", "d e f", "a b c!"], "part": parts})
    near = NearDuplicateParams(threshold=0.8, words=3, bands=8, rows=2, max_comparisons=10)
    prints = fingerprint(frame["text"].tolist(), near=near, seed=1, threads=1)
    assert leaks.texts_across(frame, fingerprints=prints, near=near) == 2
    checks = crossing_checks(ids=0, texts=2, entities=0, rows=4)
    assert [check.outcome for check in checks] == ["passed", "failed", "passed"]


def test_a_domain_without_features_has_no_leak_to_check(split, records, verdict, schema) -> None:
    bare = dataclasses.replace(schema, features=())
    assert not [check for check in verdict(split(records), schema=bare).checks if check.name.startswith("leak_")]
    assert Feature("office", kind="category") in schema.features


# ---- words, values and pairs that give a class away


def outcome_of(found, name):
    return next(check for check in found.checks if check.name == name)


def test_a_code_word_in_every_text_of_a_class_closes_it(split, records, verdict) -> None:
    assert outcome_of(verdict(split(records)), "giveaways").outcome == "passed"
    of_class = records["gold"] == "broken"
    coded = records.assign(text=records["text"].mask(of_class, records["text"] + " q7x"))
    check = outcome_of(verdict(split(coded)), "giveaways")
    assert check.outcome == "failed"
    assert check.details["signs"][0]["label"] == "broken" and "q7x" in check.details["signs"][0]["name"]


def test_a_phrase_of_two_ordinary_words_is_found_and_a_word_of_half_the_texts_is_not(split, records, verdict) -> None:
    of_class, half = records["gold"] == "late", np.arange(len(records)) % 2 == 0
    words = (
        records["text"]
        .mask(of_class, records["text"] + " went missing")
        .mask(~of_class, records["text"] + " went and missing")
    )
    assert outcome_of(verdict(split(records.assign(text=words))), "giveaways").outcome == "failed"
    often = records.assign(text=records["text"].mask(of_class & half, records["text"] + " parcel"))
    assert outcome_of(verdict(split(often)), "giveaways").outcome == "passed"


def test_a_value_that_only_one_rare_class_has_closes_it(split, records, verdict) -> None:
    check = outcome_of(
        verdict(split(records.assign(office=records["office"].mask(records["gold"] == "broken", "z")))), "giveaways"
    )
    assert check.outcome == "failed"


def test_a_feature_that_is_right_whenever_it_has_a_value_closes_it(split, records, verdict) -> None:
    random = np.random.default_rng(1)
    filled = pd.Series(records["gold"].where(random.random(len(records)) < 0.67), dtype="string")
    assert "leak_office" in closed_by(verdict(split(records.assign(office=filled))))


def test_two_features_that_reveal_the_label_only_together_close_it(split, records, verdict) -> None:
    random = np.random.default_rng(1)
    codes = records["gold"].map({"lost": 0, "late": 1, "broken": 2}).fillna(0).astype(int).to_numpy()
    key = random.integers(0, 3, len(records))
    office = pd.Series([f"o{n}" for n in (codes + key) % 3], index=records.index, dtype="string")
    assert closed_by(verdict(split(records.assign(office=office, kilos=key.astype(float))))) == ["leak_office+kilos"]


def test_a_code_in_a_script_without_spaces_is_found(split, records, verdict) -> None:
    of_class = records["gold"] == "broken"
    letters = records["text"].map(lambda text: "".join(chr(0x4E00 + int(word[1:])) for word in text.split()))
    coded = records.assign(text=letters.mask(of_class, letters.str[:4] + "鬱" + letters.str[4:]))
    check = outcome_of(verdict(split(coded)), "giveaways")
    assert check.outcome == "failed"
    assert "鬱" in check.details["signs"][0]["name"]
