"""The store and the state root: whole files or none, the same bytes for the same values, chained lines."""

import errno
import json
from pathlib import Path

import pandas as pd
import pytest

from pipelines.runtime import state, store
from pipelines.runtime.errors import InputError, StoreError


@pytest.fixture(autouse=True)
def _in_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def frame() -> pd.DataFrame:
    return pd.DataFrame({"id": ["b", "a"], "value": [1.5, None]}).astype({"id": "string"})


def test_records_read_back_and_have_the_same_bytes_twice():
    store.write_records("dedupe", frame())
    first = Path("data/dedupe/records.parquet").read_bytes()
    store.write_records("dedupe", frame().set_index(pd.Index([7, 9])))
    assert Path("data/dedupe/records.parquet").read_bytes() == first
    assert store.read_records("dedupe", columns=["id"])["id"].tolist() == ["b", "a"]


def test_a_missing_file_names_the_stage_that_writes_it():
    with pytest.raises(InputError, match="stage 'dedupe' writes it"):
        store.read_records("dedupe")
    with pytest.raises(InputError, match="stage 'label' writes it"):
        store.read_json("label", "metrics.json")


def test_a_broken_file_is_an_input_error():
    store.write_bytes("dedupe", "records.parquet", b"no parquet")
    with pytest.raises(InputError, match="not readable"):
        store.read_records("dedupe")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_json_refuses_what_is_no_number_and_names_its_place(bad):
    with pytest.raises(StoreError, match=r"a\.b\.1 is not a finite number"):
        store.write_metrics("label", {"a": {"b": [1.0, bad]}}, headline={})


def test_metrics_show_a_headline_and_keep_everything():
    """DVC's table has a column for every number outside a list."""
    store.write_metrics("label", {"by_class": {"a": 1}, "kappa": 0.5}, headline={"kappa": 0.5, "coverage": None})
    assert store.read_json("label", "metrics.json").keys() == {"kappa", "details"}
    assert store.read_metrics("label") == {"by_class": {"a": 1}, "kappa": 0.5}
    store.write_json("split", "metrics.json", {"rows": 3})
    with pytest.raises(InputError, match="has no details: run `dvc repro split`"):
        store.read_metrics("split")


def test_a_full_disk_leaves_the_old_file_whole(monkeypatch):
    store.write_json("label", "metrics.json", {"kept": 1})

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state.os, "fsync", no_space)
    with pytest.raises(StoreError, match="no space left on the device; nothing was written"):
        store.write_json("label", "metrics.json", {"kept": 2})
    assert store.read_json("label", "metrics.json") == {"kept": 1}
    assert [file.name for file in Path("data/label").iterdir()] == ["metrics.json"]


def test_a_folder_is_renamed_into_place_or_not_at_all():
    with store.writing_folder("finetune", "model") as folder:
        (folder / "a").write_text("1")
    with pytest.raises(ZeroDivisionError), store.writing_folder("finetune", "model") as folder:
        (folder / "a").write_text("2")
        raise ZeroDivisionError
    assert (Path("data/finetune/model") / "a").read_text() == "1"
    assert [file.name for file in Path("data/finetune").iterdir()] == ["model"]


def test_home_must_be_absolute(monkeypatch):
    monkeypatch.setenv("PERENNIAL_HOME", "here")
    with pytest.raises(StoreError, match="relative; an absolute path would be right"):
        state.home()


def test_lines_are_chained_and_a_changed_one_is_named(tmp_path):
    file = tmp_path / "history.jsonl"
    for number in range(3):
        state.append_line(file, {"number": number}, chained=True)
    assert [line["number"] for line in state.verify_chain(file)] == [0, 1, 2]
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1].replace('"number": 1', '"number": 5'), lines[2]]) + "\n")
    with pytest.raises(StoreError, match="line 2: the chain of hashes is broken"):
        state.verify_chain(file)
    file.write_text("\n".join([lines[0], lines[2]]) + "\n")
    with pytest.raises(StoreError, match="line 2"):
        state.append_line(file, {"number": 3}, chained=True)


def test_a_line_cut_by_a_crash_is_dropped_by_the_next_append(tmp_path):
    file = tmp_path / "lines.jsonl"
    state.append_line(file, {"a": 1})
    with file.open("a") as stream:
        stream.write('{"a": 2')
    assert state.read_lines(file) == [{"a": 1}]
    state.append_line(file, {"a": 3})
    assert [json.loads(line)["a"] for line in file.read_text().splitlines()] == [1, 3]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    file = tmp_path / "lines.jsonl"
    file.write_text('{"a": 1}\nnonsense\n{"a": 2}\n')
    with pytest.raises(StoreError, match="line 2 is not JSON"):
        state.read_lines(file)
