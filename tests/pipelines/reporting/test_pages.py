"""Pages of a run: only evidence of that run is shown, and what is missing is stated."""

import json

import pytest

from pipelines.__main__ import main
from pipelines.gates.evidence import evidence_digests
from pipelines.reporting.evidence import gates_reached, read_evidence
from pipelines.reporting.pages import render_page, write_pages
from pipelines.runtime.errors import ParamsError
from pipelines.runtime.store import Store
from tests.factories.verdicts import verdict

GATES = ("ingest", "dedupe", "split", "label", "bias_gate")


@pytest.fixture
def store(tmp_path) -> Store:
    """A run that stopped after bias_gate, which read the metrics and the verdict of label."""
    store = Store(tmp_path / "data")
    for stage in GATES:
        store.write_verdict(verdict(stage, value=0.8))
    store.write_metrics("label", {"coverage": 0.9}, headline={})
    inputs = evidence_digests(store, ["label/metrics.json", "label/verdict.json"])
    store.write_metrics("bias_gate", {"inputs": inputs}, headline={})
    return store


def test_evidence_is_that_of_the_stage_and_of_what_it_read(store):
    evidence = read_evidence(store, "bias_gate")
    assert evidence.problems == ()
    assert set(evidence.metrics) == set(evidence.verdicts) == {"label", "bias_gate"}


@pytest.mark.parametrize("file", ["metrics.json", "verdict.json"])
def test_a_file_of_another_run_is_not_evidence(store, file):
    store.write_json("label", file, {"details": [{"coverage": 0.1}]})
    evidence = read_evidence(store, "bias_gate")
    assert (evidence.metrics, evidence.verdicts) == ({}, {})
    assert len(evidence.problems) == 1
    html, missing = render_page(store, "data_report")
    assert missing == evidence.problems
    assert f"data/label/{file}" in html


@pytest.mark.parametrize("break_it", ["remove", "no digests", "edited verdict"])
def test_incomplete_evidence_is_a_problem(store, break_it):
    if break_it == "remove":
        (store.folder / "bias_gate" / "metrics.json").unlink()
    elif break_it == "no digests":
        store.write_metrics("bias_gate", {}, headline={})
    else:
        store.write_json("bias_gate", "verdict.json", {"stage": "bias_gate", "passed": True})
    assert read_evidence(store, "bias_gate").problems


def test_a_stage_that_was_not_reached_has_no_evidence(store):
    assert read_evidence(store, "bias_gate", stale=["bias_gate"]).problems
    assert [gate["verdict"] is None for gate in gates_reached(store, stale=["bias_gate"])] == [False] * 4 + [True] * 2


def test_nothing_after_a_closed_gate_is_shown(store):
    store.write_verdict(verdict("dedupe", value=0.1))
    assert [gate["verdict"] is None for gate in gates_reached(store)] == [False] * 2 + [True] * 4


def test_a_page_without_evidence_is_written_and_names_what_is_missing(store):
    written = write_pages(store, ["model_card"])
    assert written["model_card"]["missing"]
    assert "metrics.json is missing" in (store.folder / "pages" / "model_card.html").read_text()


def test_an_unknown_page_is_refused(store):
    with pytest.raises(ParamsError):
        render_page(store, "modelcard")


def test_the_command_writes_both_pages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "params.yaml").write_text("{}\n")
    (tmp_path / "params.yaml").write_text("domain: domain\n")
    monkeypatch.setenv("PERENNIAL_RESULT_FILE", str(tmp_path / "result.json"))
    assert main(["pages"]) == 0
    pages = json.loads((tmp_path / "result.json").read_text())["pages"]
    assert set(pages) == {"data_report", "model_card"}
    for page in pages.values():
        assert (tmp_path / page["file"]).is_file()
    assert main(["pages", "unknown"]) == 64
