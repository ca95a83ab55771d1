"""Real complaints: three exports as delivered are one table, and three million rows fit into a gigabyte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.realdata


def ingest_real(folder: Path, repository: Path, real_data: Path, *, domain: str, **parameters) -> pd.DataFrame:
    """Run the stage in a process of its own; returns its log's figures as a frame of one row."""
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["domain"] = str(repository / domain)
    params["ingest"] |= parameters
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "last_good.json").write_text("{}")
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "pipelines").symlink_to(repository / "pipelines")
    # VmHWM starts at zero in a new program; ru_maxrss would include what pytest, its parent, has used.
    code = (
        "import re, sys, runpy\n"
        "sys.argv = ['pipelines.stages.ingest']\n"
        "try: runpy.run_module('pipelines.stages.ingest', run_name='__main__')\n"
        "finally: open('peak', 'w').write(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PERENNIAL_DATA": str(real_data), "PYTHONHASHSEED": "0", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return pd.read_parquet(folder / "data/ingest/records.parquet")


WINDOW = {"source": "files", "start": "2011-01-01", "end": "2024-01-01", "keep_without_text": True}


@pytest.mark.slow
def test_three_exports_give_the_rows_of_their_union(tmp_path, repository, real_data) -> None:
    def read(name: str, *paths: str) -> pd.DataFrame:
        files = {"paths": [f"cfpb/{path}" for path in paths], "encoding": "utf-8"}
        return ingest_real(
            tmp_path / name, repository, real_data, domain="pipelines/domains/complaints", files=files, **WINDOW
        )

    together = read("together", "export_variant_*.csv")
    whole = read("whole", "complaints.csv.gz")
    pd.testing.assert_frame_equal(together, whole)
    lost = pd.read_parquet(tmp_path / "together/data/ingest/quarantine.parquet")
    cut = lost[lost["reason"].str.contains("the file ends inside the row")]
    assert cut["file"].tolist() == ["cfpb/export_variant_c.csv"] and cut["row"].tolist() == [2068]
    assert len(together) + len(lost) == 12_689 + 1
    assert together["id"].is_unique


@pytest.mark.slow
def test_the_same_export_twice_is_repeated_not_rejected(tmp_path, repository, real_data) -> None:
    files = {"paths": ["cfpb/export_variant_b.csv", "cfpb/complaints.csv.gz"], "encoding": "utf-8"}
    ingest_real(tmp_path / "both", repository, real_data, domain="pipelines/domains/complaints", files=files, **WINDOW)
    lost = pd.read_parquet(tmp_path / "both/data/ingest/quarantine.parquet")
    assert (lost["kind"] == "repeated").sum() > 6_000
    assert not lost["reason"].str.contains("another record").any()


@pytest.mark.long
def test_three_million_rows_in_a_gigabyte(tmp_path, repository, real_data) -> None:
    records = ingest_real(tmp_path / "table", repository, real_data, domain="tests/domains/tabular")
    peak = int((tmp_path / "table/peak").read_text()) / 2**20
    print(f"{len(records)} rows, peak {peak:.2f} GB")
    assert len(records) > 2_950_000 and peak < 1.0
