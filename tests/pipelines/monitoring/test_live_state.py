"""Two registered models under one state root: neither sees the other's live state, and what was there before moves."""

import logging
from datetime import UTC, date, datetime

import pandas as pd
import pytest
import yaml

from pipelines.monitoring import live_state, predictions
from pipelines.runtime import state
from pipelines.runtime.errors import ParamsError, StoreError

OLD_DAY = "predictions/day=2026-01-05/part.parquet"


@pytest.fixture(autouse=True)
def model(tmp_path, monkeypatch):
    """Names the registered model of the checkout in the present folder."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "params.yaml").write_text("{}\n")
    monkeypatch.chdir(tmp_path)

    def named(name):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"domain": "shop", "release": {"model_name": name}}))

    named(None)
    return named


def earlier(*models):
    """State as an earlier version left it, with a history of these models."""
    root = state.home()
    (root / OLD_DAY).parent.mkdir(parents=True)
    (root / OLD_DAY).write_bytes(b"rows")
    state.append_line(root / "decisions.jsonl", {"kind": "decision"}, chained=True)
    for name in models:
        state.append_line(root / "history.jsonl", {"model": name}, chained=True)
    return root


def test_two_models_share_a_state_root_and_nothing_else(model):
    labels = pd.DataFrame({"record_id": ["1"], "label": ["card"], "labeled_at": [datetime(2026, 1, 5, tzinfo=UTC)]})
    week = {"start": date(2026, 1, 5), "end": date(2026, 1, 12)}
    predictions.add_labels(labels)
    model("mail")
    assert predictions.read_labels(**week).empty
    model(None)
    assert len(predictions.read_labels(**week)) == 1
    assert live_state.live_home() == state.home() / "live" / "perennial-shop"


def test_a_name_that_is_no_folder_name_is_refused(model):
    model("../mail")
    with pytest.raises(ParamsError, match=r"release.model_name = '../mail'; letters, digits"):
        live_state.live_home()


def test_earlier_state_moves_to_the_only_model_of_the_history(model):
    root = earlier("perennial-shop", "perennial-shop")
    model("mail")  # whoever asks first: it belongs to the other one
    assert live_state.live_home() == root / "live" / "mail"
    moved = root / "live" / "perennial-shop"
    assert (moved / OLD_DAY).read_bytes() == b"rows" and not (root / "predictions").exists()
    assert len(state.verify_chain(moved / "decisions.jsonl")) == 1
    assert (root / "history.jsonl").exists()


@pytest.mark.parametrize("models", [(), ("perennial-shop", "mail")])
def test_earlier_state_of_nobody_knows_whom_stays_and_is_told_once(models, caplog):
    root = earlier(*models)
    with caplog.at_level(logging.WARNING):
        live_state.live_home()
        live_state.live_home()
    (warning,) = caplog.messages
    assert f"predictions, decisions.jsonl in {root}" in warning and "Move them to" in warning
    assert (root / OLD_DAY).exists() and all(name in warning for name in models)


def test_earlier_state_never_replaces_what_stands_at_the_new_place(caplog):
    root = earlier("perennial-shop")
    new = root / "live" / "perennial-shop" / "decisions.jsonl"
    new.parent.mkdir(parents=True)
    new.write_text("")
    live_state.live_home()
    assert new.read_text() == "" and (root / "decisions.jsonl").exists()
    assert (new.parent / OLD_DAY).exists() and "decisions.jsonl in" in caplog.messages[-1]


def test_a_move_that_fails_names_both_places(monkeypatch):
    root = earlier("perennial-shop")

    def busy(self, target):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(live_state.Path, "rename", busy)
    with pytest.raises(StoreError, match=r"cannot be moved to .*perennial-shop.*: Device or resource busy; move it by"):
        live_state.live_home()
    assert (root / OLD_DAY).exists()
