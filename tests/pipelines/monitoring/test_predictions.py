"""Predictions on disk: each key once, days apart, a second write of the same rows leaves the same bytes."""

from datetime import date

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.monitoring.predictions import (
    add_labels,
    add_predictions,
    as_predictions,
    columns_of,
    read_labels,
    read_predictions,
)
from pipelines.records.domain import DomainSchema, Feature
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
            schema_version=1,
            request_id=frame["record_id"],
            received_at=pd.Timestamp(day, tz="UTC"),
            served_at=pd.Timestamp("2026-02-01", tz="UTC"),
            model_version=version,
            role=role,
            label=label,
            confidence=0.5,
            text_length=3,
            state="CA",
        ),
        schema=SCHEMA,
    )


def read(**more) -> pd.DataFrame:
    return read_predictions(start=date(2026, 1, 1), end=date(2026, 2, 1), **more)


def test_a_feature_that_is_a_fixed_column_stands_once():
    assert columns_of(SCHEMA).count("text_length") == 1


def test_the_same_rows_twice_change_nothing(tmp_path):
    assert add_predictions(rows(["1", "2"]), root=tmp_path) == 2
    before = (tmp_path / "day=2026-01-05" / "part.parquet").read_bytes()
    assert add_predictions(rows(["2", "1"], label="b"), root=tmp_path) == 0
    assert (tmp_path / "day=2026-01-05" / "part.parquet").read_bytes() == before


def test_versions_and_roles_are_kept_apart(tmp_path):
    add_predictions(rows(["1"]), root=tmp_path)
    add_predictions(rows(["1"], version=2), root=tmp_path)
    add_predictions(rows(["1"], version=2, role="shadow"), root=tmp_path)
    assert len(read(root=tmp_path)) == 3
    assert len(read(root=tmp_path, model_version=2, roles=["shadow"])) == 1


def test_days_outside_the_window_are_left_out(tmp_path):
    add_predictions(pd.concat([rows(["1"]), rows(["2"], day="2026-03-01")]), root=tmp_path)
    assert read(root=tmp_path)["record_id"].tolist() == ["1"]


def test_no_day_is_an_empty_frame_and_an_empty_window_an_error(tmp_path):
    assert read(root=tmp_path).empty
    with pytest.raises(InputError, match="is empty"):
        read_predictions(start=date(2026, 1, 2), end=date(2026, 1, 2), root=tmp_path)


def test_a_broken_file_is_named(tmp_path):
    add_predictions(rows(["1"]), root=tmp_path)
    (tmp_path / "day=2026-01-05" / "part.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match=r"day=2026-01-05/part\.parquet is not readable"):
        read(root=tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "said"), [("role", "king", "role 'king'"), ("label", None, "label is null")]
)
def test_bad_rows_are_refused(column, value, said):
    with pytest.raises(InputError, match=said):
        as_predictions(rows(["1"]).assign(**{column: value}), schema=SCHEMA)


def test_labels_come_once(tmp_path):
    stamp = pd.Timestamp("2026-01-06", tz="UTC")
    labels = pd.DataFrame({"record_id": ["1", "1", "2"], "label": ["a", "b", "b"], "labeled_at": stamp})
    assert add_labels(labels, root=tmp_path) == 2
    found = read_labels(start=date(2026, 1, 1), end=date(2026, 2, 1), root=tmp_path)
    assert found["label"].tolist() == ["a", "b"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(batches=st.lists(st.lists(st.sampled_from("abcdef"), min_size=1), min_size=1, max_size=4))
def test_however_they_come_each_key_stands_once(tmp_path_factory, batches):
    root = tmp_path_factory.mktemp("predictions")
    for batch in batches:
        add_predictions(rows(batch), root=root)
    assert sorted(read(root=root)["record_id"]) == sorted({name for batch in batches for name in batch})
