"""After a stage that stops, the evidence of the stages behind it is withdrawn; that of the others stays."""

import json

import pytest

from pipelines.runtime import runner
from pipelines.runtime.errors import GateClosed
from pipelines.runtime.params import read_yaml
from pipelines.runtime.withdraw import stages_after, withdraw_after

GRAPH = """
stages:
  first: {cmd: x, outs: [data/first/a.parquet], metrics: [{data/first/metrics.json: {cache: false}}]}
  second: {cmd: x, deps: [data/first/a.parquet], outs: [data/second/b.parquet], metrics: [data/second/metrics.json]}
  aside: {cmd: x, deps: [pipelines/aside], metrics: [data/aside/metrics.json, data/first/metrics.json]}
  third:
    cmd: x
    deps: [data/second/b.parquet]
    metrics: [{data/third/metrics.json: {cache: false}}, {data/third/verdict.json: {cache: false}}]
    plots: [{data/third/curve.csv: {cache: false}}]
"""
FILES = {
    *("first/metrics.json", "first/a.parquet", "second/metrics.json", "second/b.parquet", "aside/metrics.json"),
    *("third/metrics.json", "third/verdict.json", "third/curve.csv"),
}


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    for name in FILES:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(json.dumps({"macro_f1": 0.892}))
    return tmp_path


def left(checkout):
    return {file.relative_to(checkout / "data").as_posix() for file in (checkout / "data").rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("stage", "gone"),
    [
        ("first", {"second/metrics.json", "third/metrics.json", "third/verdict.json", "third/curve.csv"}),
        ("second", {"third/metrics.json", "third/verdict.json", "third/curve.csv"}),
        ("third", set()),
        ("unknown", set()),
    ],
)
def test_evidence_behind_a_stage_goes_and_the_rest_stays(checkout, stage, gone):
    assert {name.removeprefix("data/") for name in withdraw_after(checkout, stage)} == gone
    assert left(checkout) == FILES - gone
    assert withdraw_after(checkout, stage) == []


def test_without_a_graph_nothing_is_removed(tmp_path):
    assert withdraw_after(tmp_path, "first") == []


def test_a_stage_that_stops_withdraws_what_follows(checkout, monkeypatch, capsys):
    (checkout / "shop").mkdir()
    (checkout / "shop" / "params.yaml").write_text("{}\n")
    (checkout / "params.yaml").write_text("domain: shop\nresources: {threads: 2, seed: 1}\n")
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PERENNIAL_HOME", str(checkout / "home"))
    monkeypatch.setattr(runner, "fix_process", lambda threads: None)

    def stop(project):
        raise GateClosed("gate 'first' is closed")

    assert runner.execute("second", stop) == GateClosed.exit_code
    assert "gate 'first' is closed" in capsys.readouterr().err
    assert not (checkout / "data/third/metrics.json").exists() and (checkout / "data/first/metrics.json").exists()
    assert runner.execute("second", lambda project: None) == 0
    assert (checkout / "data/first/metrics.json").exists()


def test_every_stage_but_the_source_follows_the_source(repository):
    graph = read_yaml(repository / "dvc.yaml")["stages"]
    assert set(stages_after(graph, "source")) == set(graph) - {"source"}
    assert stages_after(graph, "promote") == []
