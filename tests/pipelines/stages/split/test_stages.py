"""The two stages as processes: what they write, the same bytes twice, and a closed gate stops what comes behind."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipelines.gates.status import load_verdict
from pipelines.gates.verdict import Check, Verdict
from pipelines.runtime.store import Store

SCHEMA = """
from pipelines.records.schema import DomainSchema, Feature

SCHEMA = DomainSchema(
    name="parcels", labels=("lost", "late", "broken"),
    features=(Feature("office", kind="category"), Feature("kilos", kind="number")),
    protected=(), no_protected_because="parcels are no persons", favorable_labels=(), strata=(), gold_delay_days=20,
    required_columns=(), requires_text=True,
)
"""


@pytest.fixture
def workspace(tmp_path: Path, repository: Path, records: pd.DataFrame, monkeypatch) -> Path:
    """A checkout with shipped parameters, a small domain, and what ingest would have written."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["domain"] = "parcels"
    params["split"]["min_part_rows"] = {"train": 100, "validation": 20, "recent": 20, "anchor": 20}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "parcels").mkdir()
    (tmp_path / "parcels" / "schema.py").write_text(SCHEMA)
    (tmp_path / "parcels" / "params.yaml").write_text(
        "dedupe: {}\nsplit: {recent_share: 0.15, validation_share: 0.1}\n"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "champion.json").write_text('{"version": null}')
    write_ingest(records.drop(columns="elder"))
    return tmp_path


def write_ingest(records: pd.DataFrame) -> None:
    store = Store(Path("data"))
    store.write_records("ingest", records)
    check = Check.at_least("rows", 1, limit=1, rows=1, min_rows=1, required=True, sentence="there are rows")
    store.write_verdict(Verdict.of("ingest", [check]))


def run(stage: str, repository: Path) -> subprocess.CompletedProcess[str]:
    cache = os.environ.get("NUMBA_CACHE_DIR") or str(Path(repository) / ".perennial" / "numba-cache")
    environment = {**os.environ, "PYTHONPATH": str(repository), "NUMBA_CACHE_DIR": cache}
    command = [sys.executable, "-m", f"pipelines.stages.{stage}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)


def digests(workspace: Path) -> dict[str, str]:
    files = [*workspace.glob("data/dedupe/*"), *workspace.glob("data/split/*")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.slow
def test_both_stages_write_the_same_bytes_twice(workspace, repository) -> None:
    outcomes = []
    for _ in range(2):
        for stage in ("dedupe", "split"):
            done = run(stage, repository)
            assert done.returncode == 0, done.stderr
        assert load_verdict(Store(Path("data")), "split")[0].passed
        outcomes.append(digests(workspace))
        for stage in ("dedupe", "split"):
            shutil.rmtree(workspace / "data" / stage)
    assert outcomes[0] == outcomes[1]
    assert {"records.parquet", "dropped.parquet", "dropped.csv", "metrics.json", "verdict.json"} == set(outcomes[0])


@pytest.mark.slow
def test_a_wiped_out_source_stops_before_split(workspace, repository, records) -> None:
    write_ingest(records.drop(columns="elder").assign(text="the very same letter to everybody"))
    assert run("dedupe", repository).returncode == 0
    done = run("split", repository)
    assert done.returncode == 65
    assert "removed_share failed" in done.stderr
    assert "largest_cluster_share failed" in done.stderr
    assert not (workspace / "data" / "split" / "records.parquet").exists()


@pytest.mark.slow
def test_a_planted_leak_column_closes_split(workspace, repository, records) -> None:
    leaky = records.drop(columns="elder").assign(office=records["gold"].fillna("none").astype("string"))
    write_ingest(leaky)
    for stage in ("dedupe", "split"):
        assert run(stage, repository).returncode == 0
    closed_by = [check.name for check in load_verdict(Store(Path("data")), "split")[0].closed_by]
    assert closed_by == ["leak_office", "giveaways"], "each of its values names a class"


def test_a_wrong_parameter_is_named(workspace, repository) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["split"]["recent_share"] = 1.4
    Path("params.yaml").write_text(yaml.safe_dump(params))
    done = run("split", repository)
    assert done.returncode == 64
    assert "split.recent_share = 1.4" in done.stderr
