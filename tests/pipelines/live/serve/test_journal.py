"""The prediction log: nothing is lost, a broken line costs itself alone, a repeated compaction changes nothing."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.live.serve import journal as journal_module
from pipelines.live.serve.journal import Journal, check_line, compact
from pipelines.monitoring import predictions
from pipelines.runtime.errors import InputError, StoreError
from tests.factories.service import line


@pytest.fixture
def log(tmp_path):
    return Journal(tmp_path / "journal", max_segment_bytes=1 << 20, fsync_seconds=1.0)


def stored(tmp_path):
    files = sorted((tmp_path / "predictions").rglob("part.parquet"))
    return pd.concat([pd.read_parquet(file) for file in files]) if files else pd.DataFrame()


def test_lines_become_one_file_a_day(tmp_path, log, complaints):
    log.write([line(number) for number in range(9)])
    log.close()
    counts = compact(log.folder, schema=complaints.schema, live=tmp_path)
    assert counts == {"segments": 1, "rows": 9, "added": 9, "broken": 0}
    frame = stored(tmp_path)
    assert sorted(frame["record_id"]) == [f"r{number}" for number in range(9)]
    assert list(frame.columns) == predictions.columns_of(complaints.schema)
    assert len(list((tmp_path / "predictions").glob("day=*"))) == 3
    assert not list(log.folder.glob("*.jsonl"))


BROKEN = {
    "cut off": lambda text: text[:40],
    "no JSON": lambda text: "not json",
    "a list": lambda text: "[1, 2]",
    "a field is missing": lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "label"}),
    "unknown role": lambda text: text.replace('"champion"', '"king"'),
    "confidence beyond 1": lambda text: text.replace("0.75", "7.5"),
    "confidence NaN": lambda text: text.replace("0.75", "NaN"),
    "no time": lambda text: text.replace("2026-01-0", "2026-99-0"),
    "no time zone": lambda text: text.replace("+00:00", ""),
    "version is a text": lambda text: text.replace('"model_version":3', '"model_version":"3"'),
    "another schema": lambda text: text.replace('"schema_version":2', '"schema_version":9'),
    "a number is a text": lambda text: text.replace('"number.n_words":3.0', '"number.n_words":"three"'),
    "a category is a number": lambda text: text.replace('"CA"', "7"),
    "a feature without a type": lambda text: text.replace('"category.state"', '"state"'),
    "nested too deep": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_line_is_set_aside_with_its_place_and_nothing_else_is_lost(tmp_path, log, complaints, kind):
    log.write([line(number) for number in range(5)])
    log.close()
    (file,) = log.folder.glob("*.jsonl")
    lines = file.read_text().splitlines()
    lines[2] = BROKEN[kind](lines[2])
    file.write_text("\n".join(lines))
    counts = compact(log.folder, schema=complaints.schema, live=tmp_path)
    assert counts == {"segments": 1, "rows": 4, "added": 4, "broken": 1}
    assert sorted(stored(tmp_path)["record_id"]) == ["r0", "r1", "r3", "r4"]
    (aside,) = (log.folder / "broken").iterdir()
    assert aside.read_text().startswith(f"{file.name} line 3: ")


def test_what_is_being_written_is_left_alone_and_a_dead_writers_segment_is_taken(tmp_path, log, complaints):
    log.write([line(1)])
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from pipelines.live.serve.journal import Journal
        Journal(Path({str(log.folder)!r}), max_segment_bytes=1 << 20, fsync_seconds=1.0).write([{line(2)!r}])
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    counts = compact(log.folder, schema=complaints.schema, live=tmp_path)
    assert counts["rows"] == 1
    assert list(stored(tmp_path)["record_id"]) == ["r2"]
    assert len(list(log.folder.glob("*.open.jsonl"))) == 1


def test_a_compaction_that_died_before_it_removed_the_segment_is_repeated_without_duplicates(
    tmp_path, log, complaints, monkeypatch
):
    log.write([line(number) for number in range(6)])
    log.close()

    class Killed(BaseException):
        pass

    def die(*given, **rest):
        raise Killed

    monkeypatch.setattr(journal_module.Path, "unlink", die)
    with pytest.raises(Killed):
        compact(log.folder, schema=complaints.schema, live=tmp_path)
    monkeypatch.undo()
    counts = compact(log.folder, schema=complaints.schema, live=tmp_path)
    assert counts["added"] == 0
    assert len(stored(tmp_path)) == 6


def test_a_full_disk_leaves_no_part_of_a_write(log, monkeypatch):
    log.write([line(1)])
    real = os.write
    monkeypatch.setattr(journal_module.os, "write", lambda fd, data: _fail_after_half(real, fd, data))
    with pytest.raises(StoreError, match="no space left"):
        log.write([line(2)])
    monkeypatch.undo()
    log.write([line(3)])
    log.close()
    (file,) = log.folder.glob("*.jsonl")
    assert [json.loads(text)["record_id"] for text in file.read_text().splitlines()] == ["r1", "r3"]


_halves = iter(range(1000))


def _fail_after_half(real, descriptor, data):
    if next(_halves) % 2 == 0:
        return real(descriptor, data[: len(data) // 2])
    raise OSError(28, "No space left on device")


def test_a_segment_is_closed_when_it_is_large_enough(tmp_path):
    log = Journal(tmp_path / "journal", max_segment_bytes=4096, fsync_seconds=1.0)
    for number in range(40):
        log.write([line(number)])
    log.close()
    assert len(list(log.folder.glob("*.jsonl"))) > 2


@pytest.mark.slow
def test_a_hundred_thousand_lines_take_seconds(tmp_path, log, complaints):
    log.write([line(number) for number in range(100_000)])
    log.close()
    began = time.process_time()
    counts = compact(log.folder, schema=complaints.schema, live=tmp_path)
    assert counts["added"] == 100_000
    assert time.process_time() - began < 15


def test_a_damaged_day_costs_no_other_day_and_its_segment_waits(tmp_path, log, complaints):
    damaged = tmp_path / "predictions" / "day=2026-01-06" / "part.parquet"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no")
    for numbers in ((0, 1, 2), (3, 5)):  # only the first has a line of the damaged day
        log.write([line(number) for number in numbers])
        log.close()
    with pytest.raises(InputError, match="day=2026-01-06"):
        compact(log.folder, schema=complaints.schema, live=tmp_path)
    assert len(list(log.folder.glob("*.jsonl"))) == 1 and damaged.read_bytes() == b"no"
    damaged.unlink()
    assert sorted(stored(tmp_path)["record_id"]) == ["r0", "r2", "r3", "r5"]
    compact(log.folder, schema=complaints.schema, live=tmp_path)
    assert sorted(stored(tmp_path)["record_id"]) == ["r0", "r1", "r2", "r3", "r5"]


def test_lines_of_another_version_of_the_domain_are_read(tmp_path, log, complaints):
    old = {**line(0, schema_version=1), "state": "NY", "n_words": 4, "gone": "x", "amount": None, "lost": None}
    del old["features"]
    retyped = line(1, features={"number.state": 7, "category.added": "y"})
    log.write([old, retyped, line(2)])
    log.close()
    assert compact(log.folder, schema=complaints.schema, live=tmp_path)["broken"] == 0
    rows = stored(tmp_path).set_index("record_id")
    assert (rows["schema_version"] == predictions.SCHEMA_VERSION).all()
    assert rows.loc["r0", ["category.state", "number.n_words", "category.gone"]].tolist() == ["NY", 4.0, "x"]
    assert rows.loc["r1", ["number.state", "category.added"]].tolist() == [7.0, "y"]
    assert json.loads(rows.loc["r0", "features"]) == [
        "category.gone",
        "category.state",
        "number.amount",
        "number.n_words",
    ]
    assert json.loads(rows.loc["r1", "features"]) == ["category.added", "number.state"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@settings(max_examples=200, deadline=None)
@given(field=st.sampled_from(sorted(line(0))), value=json_values)
def test_every_line_is_either_good_for_the_store_or_refused(complaints, field, value):
    try:
        row = check_line(line(0, **{field: value}), schema=complaints.schema)
    except ValueError:
        return
    predictions.as_predictions(pd.DataFrame([row]))


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(predictions.KINDS), name=st.text(max_size=5), value=json_values)
def test_every_feature_is_either_good_for_the_store_or_refused(complaints, kind, name, value):
    features = {**line(0)["features"], f"{kind}.{name}": value}
    try:
        row = check_line(line(0, features=features), schema=complaints.schema)
    except (ValueError, OverflowError):
        return
    predictions.as_predictions(pd.DataFrame([row]))
