"""What a run did not reach is never shown as its own, also when DVC does not answer."""

import subprocess
from types import SimpleNamespace

import pytest

from pipelines.live.release.run import stale_stages
from pipelines.live.release.summary import _numbers
from pipelines.live.release.summary_tables import LastRun
from pipelines.runtime.store import Store

GRAPH = """
stages:
  source: {cmd: a}
  ingest: {cmd: b, deps: [data/source/fingerprint.json]}
  label: {cmd: c, deps: [pipelines, data/ingest/records.parquet]}
"""


@pytest.mark.parametrize(
    ("output", "stale"),
    [
        ("{}", set()),
        ('{"label": [{"changed deps": {}}]}', {"label"}),
        ('{"source": ["always changed"]}', set()),
        ('{"source": [{"changed outs": {}}, "always changed"]}', {"source", "ingest", "label"}),
        ("", {"source", "ingest", "label"}),
    ],
)
def test_stale_stages_are_those_that_dvc_names_or_all(tmp_path, monkeypatch, output, stale):
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    answer = SimpleNamespace(stdout=output, stderr="ERROR: locked")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert stale_stages(tmp_path) == stale


@pytest.mark.parametrize(
    ("stale", "shown"),
    [
        ((), "dvc metrics show; dvc plots show"),
        (("evaluate", "promote"), "dvc metrics show data/ingest/metrics.json "),
        (("ingest", "evaluate"), "none: no stage finished"),
    ],
)
def test_only_metrics_of_this_run_are_pointed_to(tmp_path, stale, shown):
    store = Store(tmp_path)
    for stage in ("ingest", "evaluate"):
        store.write_metrics(stage, {"rows": 1}, headline={})
    assert _numbers(LastRun(store, stale)).startswith(shown)
