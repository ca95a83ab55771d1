"""Predictions on disk: each key once, days apart, a second write of the same rows leaves the same bytes."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.monitoring.predictions import (
    SCHEMA_VERSION,
    add_labels,
    add_predictions,
    as_predictions,
    columns_of,
    logged_with,
    read_labels,
    read_predictions,
)
from pipelines.monitoring.sampling import latest_labels
from pipelines.records.schema import DomainSchema, Feature
from pipelines.runtime.errors import InputError

SCHEMA = DomainSchema(
    name="toy",
    labels=("a", "b"),
    features=(Feature("state", kind="category"), Feature("text_length", kind="number")),
    protected=(),
    no_protected_because="made up",
    favorable_labels=(),
    strata=(),
    gold_delay_days=1,
    required_columns=(),
    requires_text=True,
)


def rows(ids, *, day="2026-01-05", version=1, role="champion", label="a") -> pd.DataFrame:
    frame = pd.DataFrame({"record_id": ids})
    return as_predictions(
        frame.assign(
            schema_version=SCHEMA_VERSION,
            request_id=frame["record_id"],
            received_at=pd.Timestamp(day, tz="UTC"),
            served_at=pd.Timestamp("2026-02-01", tz="UTC"),
            model_version=version,
            role=role,
            label=label,
            confidence=0.5,
            text_length=3,
            features=logged_with(columns_of(SCHEMA)[-2:]),
            **{"category.state": "CA", "number.text_length": 4.0},
        ),
        schema=SCHEMA,
    )


def read(live: Path, **more) -> pd.DataFrame:
    return read_predictions(live, start=date(2026, 1, 1), end=date(2026, 2, 1), **more)


def test_a_feature_may_have_the_name_of_a_fixed_column():
    found = rows(["1"]).assign(**{"number.text_length": 9.0})
    assert [*found.columns] == columns_of(SCHEMA)
    assert (found["text_length"].item(), found["number.text_length"].item()) == (3, 9.0)


def test_a_partition_of_version_1_is_read_and_added_to(tmp_path):
    old = rows(["1"]).drop(columns=["features", "number.text_length"])
    file = tmp_path / "predictions" / "day=2026-01-05" / "part.parquet"
    file.parent.mkdir(parents=True)
    old.rename(columns={"category.state": "state"}).assign(schema_version=1, age=7.5).to_parquet(file)
    (first,) = read(tmp_path).to_dict("records")
    assert (first["category.state"], first["number.age"], first["schema_version"]) == ("CA", 7.5, SCHEMA_VERSION)
    assert json.loads(first["features"]) == ["category.state", "number.age"]
    assert add_predictions(tmp_path, rows(["1", "2"])) == 1
    assert sorted(read(tmp_path)["record_id"]) == ["1", "2"]


def test_a_feature_that_was_retyped_during_a_day_is_two_columns_of_that_day(tmp_path):
    changed = replace(SCHEMA, features=(Feature("state", kind="number"), Feature("new", kind="category")))
    later = rows(["2"]).drop(columns=["category.state", "number.text_length"])
    later = later.assign(
        **{"number.state": 4.0, "category.new": "x", "features": logged_with(columns_of(changed)[-2:])}
    )
    add_predictions(tmp_path, rows(["1"]))
    add_predictions(tmp_path, as_predictions(later, schema=changed))
    found = read(tmp_path).set_index("record_id")
    assert found["category.state"].notna().tolist() == [True, False]
    assert found["number.state"].notna().tolist() == [False, True]
    assert [len(json.loads(names)) for names in found["features"]] == [2, 2]


def test_the_same_rows_twice_change_nothing(tmp_path):
    assert add_predictions(tmp_path, rows(["1", "2"])) == 2
    before = (tmp_path / "predictions" / "day=2026-01-05" / "part.parquet").read_bytes()
    assert add_predictions(tmp_path, rows(["2", "1"], label="b")) == 0
    assert (tmp_path / "predictions" / "day=2026-01-05" / "part.parquet").read_bytes() == before


def test_versions_and_roles_are_kept_apart(tmp_path):
    add_predictions(tmp_path, rows(["1"]))
    add_predictions(tmp_path, rows(["1"], version=2))
    add_predictions(tmp_path, rows(["1"], version=2, role="shadow"))
    assert len(read(tmp_path)) == 3
    assert len(read(tmp_path, model_version=2, roles=["shadow"])) == 1


def test_days_outside_the_window_are_left_out(tmp_path):
    add_predictions(tmp_path, pd.concat([rows(["1"]), rows(["2"], day="2026-03-01")]))
    assert read(tmp_path)["record_id"].tolist() == ["1"]


def test_no_day_is_an_empty_frame_and_an_empty_window_an_error(tmp_path):
    assert read(tmp_path).empty
    with pytest.raises(InputError, match="is empty"):
        read_predictions(tmp_path, start=date(2026, 1, 2), end=date(2026, 1, 2))


def test_a_broken_file_is_named(tmp_path):
    add_predictions(tmp_path, rows(["1"]))
    (tmp_path / "predictions" / "day=2026-01-05" / "part.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match=r"day=2026-01-05/part\.parquet is not readable"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "message"), [("role", "king", "role 'king'"), ("label", None, "label is null")]
)
def test_bad_rows_are_refused(column, value, message):
    with pytest.raises(InputError, match=message):
        as_predictions(rows(["1"]).assign(**{column: value}), schema=SCHEMA)


def test_a_record_keeps_all_its_labels_and_the_latest_counts(tmp_path):
    stamp = pd.Timestamp("2026-01-06", tz="UTC")
    labels = pd.DataFrame({"record_id": ["1", "1", "2"], "label": ["b", "a", "b"], "labeled_at": stamp})
    assert add_labels(tmp_path, labels) == 3 and add_labels(tmp_path, labels) == 0
    found = read_labels(tmp_path, start=date(2026, 1, 1), end=date(2026, 2, 1))
    assert found["label"].tolist() == ["b", "a", "b"] and set(found["obtained"]) == {"all_records"}
    assert latest_labels(found)["label"].tolist() == ["a", "b"]
    corrected = labels.head(1).assign(labeled_at=stamp + pd.Timedelta(days=9), obtained="correction", label="c")
    assert add_labels(tmp_path, corrected) == 1
    latest = latest_labels(read_labels(tmp_path, start=date(2026, 1, 1), end=date(2026, 2, 1))).set_index("record_id")
    assert latest["label"].to_dict() == {"1": "c", "2": "b"}
    assert latest["sampled_at"].eq(stamp).all()  # it was sampled before it was corrected


@pytest.mark.parametrize("obtained", ["all records", "Random_Audit", ""])
def test_how_a_label_was_obtained_must_be_known(tmp_path, obtained):
    stamp = pd.Timestamp("2026-01-06", tz="UTC")
    labels = pd.DataFrame({"record_id": ["1", "7"], "label": "a", "labeled_at": stamp, "obtained": [None, obtained]})
    with pytest.raises(InputError, match=rf"obtained '{obtained}' in row 1, record '7': expected one of random_audit"):
        add_labels(tmp_path, labels)
    assert not (tmp_path / "labels").exists()


def test_labels_that_were_stored_without_it_are_of_all_records(tmp_path):
    stamp = pd.Timestamp("2026-01-06", tz="UTC")
    labels = pd.DataFrame({"record_id": ["1"], "label": ["a"], "labeled_at": [stamp]})
    file = tmp_path / "labels" / "day=2026-01-06" / "part.parquet"
    file.parent.mkdir(parents=True)
    labels.astype({"record_id": "string", "label": "string"}).to_parquet(file)
    assert add_labels(tmp_path, labels) == 0
    assert add_labels(tmp_path, labels.assign(obtained="complaint")) == 1
    found = read_labels(tmp_path, start=date(2026, 1, 1), end=date(2026, 2, 1))
    assert found["obtained"].tolist() == ["all_records", "complaint"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(batches=st.lists(st.lists(st.sampled_from("abcdef"), min_size=1), min_size=1, max_size=4))
def test_each_key_is_stored_once_whatever_the_batches(tmp_path_factory, batches):
    live = tmp_path_factory.mktemp("live")
    for batch in batches:
        add_predictions(live, rows(batch))
    assert sorted(read(live)["record_id"]) == sorted({name for batch in batches for name in batch})
