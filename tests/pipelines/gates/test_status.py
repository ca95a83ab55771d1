"""Gate status: closed on a missing, broken or closed verdict; only an intact override of that verdict opens it."""

import json

import pytest

from pipelines.gates.override import record_override
from pipelines.gates.status import gate_status, require_open
from pipelines.runtime.errors import GateClosed
from pipelines.runtime.store import Store
from tests.factories.verdicts import verdict


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "data")


def override(store: Store):
    return record_override(
        store, stage="label", who="Ada", when="2026-01-01T00:00:00Z", why="the labels were read by hand"
    )


def test_an_open_gate_needs_no_override(store):
    store.write_verdict(verdict(value=0.8))
    assert require_open(store, "label") == ()
    status = gate_status(store, "label")
    assert (status["open"], status["passed"], status["override"], status["reason"]) == (True, True, None, None)


def test_a_closed_gate_names_the_check_and_the_command_that_overrides_it(store):
    store.write_verdict(verdict(value=0.6))
    with pytest.raises(GateClosed) as error:
        require_open(store, "label")
    assert "kappa failed: 0.6, limit at least 0.7, 100 rows" in str(error.value)
    assert "python -m pipelines override --stage label" in str(error.value)
    status = gate_status(store, "label")
    assert (status["open"], status["passed"], status["reason"]) == (False, False, str(error.value))


def test_a_missing_verdict_is_a_closed_gate(store):
    with pytest.raises(GateClosed, match=r"verdict\.json is missing"):
        require_open(store, "label")
    status = gate_status(store, "label")
    assert (status["open"], status["passed"], status["digest"]) == (False, None, None)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"stage": "label", "passed": true}'])
def test_a_broken_verdict_is_a_closed_gate(store, content):
    store.write_text("label", "verdict.json", content)
    with pytest.raises(GateClosed, match="cannot be trusted"):
        require_open(store, "label")
    assert not gate_status(store, "label")["open"]


def test_an_override_opens_exactly_its_verdict(store):
    store.write_verdict(verdict(value=0.6))
    override(store)
    (used,) = require_open(store, "label")
    assert used["who"] == "Ada"
    status = gate_status(store, "label")
    assert (status["open"], status["passed"], status["override"]) == (True, False, used)
    store.write_verdict(verdict(value=0.5))
    with pytest.raises(GateClosed):
        require_open(store, "label")
    assert not gate_status(store, "label")["open"]


@pytest.mark.parametrize("key", ["why", "who", "when", "checks", "signature", "verdict_digest"])
def test_an_edited_override_opens_nothing(store, key):
    store.write_verdict(verdict(value=0.6))
    file = override(store)
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: "something else"}))
    with pytest.raises(GateClosed, match="was edited"):
        require_open(store, "label")
    assert not gate_status(store, "label")["open"]


def test_an_override_that_lacks_a_field_opens_nothing(store):
    store.write_verdict(verdict(value=0.6))
    file = override(store)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"why": ""}))
    with pytest.raises(GateClosed, match="lacks why"):
        require_open(store, "label")
