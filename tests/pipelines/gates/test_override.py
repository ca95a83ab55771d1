"""Overrides: only a closed gate can be overridden, by a named person with a reason."""

import json

import pytest

from pipelines.gates.override import gates_of, record_override, require_closed
from pipelines.gates.verdict import Verdict
from pipelines.runtime.errors import GateClosed, ParamsError
from pipelines.runtime.store import Store
from tests.factories.verdicts import verdict

GATES = ("split", "label", "promote")


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "data")


def test_a_record_names_the_verdict_and_the_checks_that_closed_it(store):
    store.write_verdict(verdict(value=0.6))
    file = record_override(store, stage="label", who="Ada", when="2026-01-01", why="the labels were read by hand")
    record = json.loads(file.read_text())
    assert (record["stage"], record["who"], record["checks"]) == ("label", "Ada", ["kappa"])
    assert record["verdict_digest"] == store.read_json("label", "verdict.json")["digest"]


@pytest.mark.parametrize(("who", "why"), [("Ada", "because"), (" ", "the labels were read by hand")])
def test_an_override_needs_a_name_and_a_reason(store, who, why):
    store.write_verdict(verdict(value=0.6))
    with pytest.raises(GateClosed):
        record_override(store, stage="label", who=who, when="2026-01-01", why=why)
    assert not (store.folder / "overrides").exists()


def test_an_open_gate_has_nothing_to_override(store):
    store.write_verdict(verdict(value=0.8))
    store.write_verdict(Verdict.of("promote", []))
    with pytest.raises(GateClosed, match=r"Gates: split \(no verdict\), label \(open\), promote \(closed\)"):
        require_closed(store, "label", gates=GATES)


@pytest.mark.parametrize("stage", ["labl", "baseline", "", "../label"])
def test_a_stage_without_a_gate_is_refused(store, stage):
    store.write_verdict(verdict(value=0.6))
    with pytest.raises(ParamsError, match=r"Gates: split \(no verdict\), label \(closed\), promote \(no verdict\)"):
        require_closed(store, stage, gates=GATES)


def test_a_gate_without_a_verdict_cannot_be_overridden(store):
    with pytest.raises(GateClosed, match=r"verdict\.json is missing"):
        require_closed(store, "split", gates=GATES)


def test_gates_are_the_stages_that_write_a_verdict():
    outs = {name: {"metrics": [{f"data/{name}/verdict.json": {"cache": False}}]} for name in GATES}
    assert gates_of({"stages": {**outs, "baseline": {"metrics": ["data/baseline/metrics.json"]}}}) == [*GATES]
