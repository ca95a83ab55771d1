"""The store: whole files or none, and the same bytes for the same values."""

import errno

import pandas as pd
import pytest

from pipelines.runtime import state
from pipelines.runtime.errors import InputError, StoreError
from pipelines.runtime.store import Store


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "data")


def frame() -> pd.DataFrame:
    return pd.DataFrame({"id": ["b", "a"], "value": [1.5, None]}).astype({"id": "string"})


def test_records_read_back_and_have_the_same_bytes_twice(store):
    store.write_records("dedupe", frame())
    first = (store.folder / "dedupe/records.parquet").read_bytes()
    store.write_records("dedupe", frame().set_index(pd.Index([7, 9])))
    assert (store.folder / "dedupe/records.parquet").read_bytes() == first
    assert store.read_records("dedupe", columns=["id"])["id"].tolist() == ["b", "a"]


def test_a_missing_file_names_the_stage_that_writes_it(store):
    with pytest.raises(InputError, match="stage 'dedupe' writes it"):
        store.read_records("dedupe")
    with pytest.raises(InputError, match="stage 'label' writes it"):
        store.read_json("label", "metrics.json")


def test_a_broken_file_is_an_input_error(store):
    store.write_bytes("dedupe", "records.parquet", b"no parquet")
    with pytest.raises(InputError, match="not readable"):
        store.read_records("dedupe")


def test_a_table_reads_back_what_was_written_and_words_are_not_missing_values(store):
    names = ["NA", "None", "nan", "null"]
    written = pd.DataFrame({"name": names, "value": [1.5, None, 2.0, 3.0]})
    store.write_table("label", "functions.csv", written)
    found = store.read_table("label", "functions.csv")
    assert found["name"].tolist() == names and found["value"].isna().tolist() == [False, True, False, False]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_json_refuses_what_is_not_a_number_and_names_its_place(bad, store):
    with pytest.raises(StoreError, match=r"a\.b\.1 is not a finite number"):
        store.write_metrics("label", {"a": {"b": [1.0, bad]}}, headline={})


def test_metrics_show_a_headline_and_keep_everything(store):
    """DVC's table has a column for every number outside a list."""
    store.write_metrics("label", {"by_class": {"a": 1}, "kappa": 0.5}, headline={"kappa": 0.5, "coverage": None})
    assert store.read_json("label", "metrics.json").keys() == {"kappa", "details"}
    assert store.read_metrics("label") == {"by_class": {"a": 1}, "kappa": 0.5}
    store.write_json("split", "metrics.json", {"rows": 3})
    with pytest.raises(InputError, match="has no details: run `dvc repro split`"):
        store.read_metrics("split")


def test_a_full_disk_leaves_the_old_file_whole(monkeypatch, store):
    store.write_json("label", "metrics.json", {"kept": 1})

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state.os, "fsync", no_space)
    with pytest.raises(StoreError, match="no space left on the device; nothing was written"):
        store.write_json("label", "metrics.json", {"kept": 2})
    assert store.read_json("label", "metrics.json") == {"kept": 1}
    assert [file.name for file in (store.folder / "label").iterdir()] == ["metrics.json"]


def test_a_folder_is_renamed_into_place_or_not_at_all(store):
    with store.writing_folder("finetune", "model") as folder:
        (folder / "a").write_text("1")
    with pytest.raises(ZeroDivisionError), store.writing_folder("finetune", "model") as folder:
        (folder / "a").write_text("2")
        raise ZeroDivisionError
    assert (store.folder / "finetune/model/a").read_text() == "1"
    assert [file.name for file in (store.folder / "finetune").iterdir()] == ["model"]
