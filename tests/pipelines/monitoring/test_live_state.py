"""Two registered models under one state root do not share live state, and earlier state moves to its model."""

import logging
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipelines.monitoring import live_state, predictions
from pipelines.monitoring.live_state import live_folder
from pipelines.runtime import state
from pipelines.runtime.errors import ParamsError, StoreError
from pipelines.runtime.project import Project

OLD_DAY = "predictions/day=2026-01-05/part.parquet"


@pytest.fixture
def project_of(tmp_path):
    """A function that opens the checkout `tmp_path` with a given name of the registered model."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "params.yaml").write_text("{}\n")

    def opened(name: str | None = None) -> Project:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump({"domain": "shop", "release": {"model_name": name}}))
        return Project.open(tmp_path, environment={"PERENNIAL_HOME": str(tmp_path / "state")})

    return opened


def write_earlier_state(root: Path, *models: str) -> None:
    """Write state as an earlier version left it, with a history of these models."""
    (root / OLD_DAY).parent.mkdir(parents=True)
    (root / OLD_DAY).write_bytes(b"rows")
    state.append_line(root / "decisions.jsonl", {"kind": "decision"}, chained=True)
    for name in models:
        state.append_line(root / "history.jsonl", {"model": name}, chained=True)


def test_two_models_share_a_state_root_and_nothing_else(project_of, tmp_path):
    labels = pd.DataFrame({"record_id": ["1"], "label": ["card"], "labeled_at": [datetime(2026, 1, 5, tzinfo=UTC)]})
    week = {"start": date(2026, 1, 5), "end": date(2026, 1, 12)}
    shop = live_folder(project_of())
    predictions.add_labels(shop, labels)
    assert predictions.read_labels(live_folder(project_of("mail")), **week).empty
    assert len(predictions.read_labels(live_folder(project_of()), **week)) == 1
    assert shop == tmp_path / "state" / "live" / "perennial-shop"


def test_an_invalid_model_name_is_refused(project_of):
    with pytest.raises(ParamsError, match=r"release\.model_name = '\.\./mail'"):
        live_folder(project_of("../mail"))


def test_earlier_state_moves_to_the_only_model_of_the_history(project_of, tmp_path):
    root = tmp_path / "state"
    write_earlier_state(root, "perennial-shop", "perennial-shop")
    assert live_folder(project_of("mail")) == root / "live" / "mail"  # the first caller may be another model
    moved = root / "live" / "perennial-shop"
    assert (moved / OLD_DAY).read_bytes() == b"rows"
    assert not (root / "predictions").exists()
    assert len(state.verify_chain(moved / "decisions.jsonl")) == 1
    assert (root / "history.jsonl").exists()


@pytest.mark.parametrize("models", [(), ("perennial-shop", "mail")])
def test_earlier_state_of_an_unknown_model_stays_and_is_reported_once(project_of, tmp_path, models, caplog):
    root = tmp_path / "state"
    write_earlier_state(root, *models)
    with caplog.at_level(logging.WARNING):
        live_folder(project_of())
        live_folder(project_of())
    (warning,) = caplog.messages
    assert f"predictions, decisions.jsonl in {root}" in warning
    assert all(name in warning for name in models)
    assert (root / OLD_DAY).exists()


def test_earlier_state_never_replaces_newer_state(project_of, tmp_path, caplog):
    root = tmp_path / "state"
    write_earlier_state(root, "perennial-shop")
    new = root / "live" / "perennial-shop" / "decisions.jsonl"
    new.parent.mkdir(parents=True)
    new.write_text("")
    live_folder(project_of())
    assert new.read_text() == ""
    assert (root / "decisions.jsonl").exists()
    assert (new.parent / OLD_DAY).exists()
    assert "decisions.jsonl in" in caplog.messages[-1]


def test_a_move_that_fails_names_both_folders(project_of, tmp_path, monkeypatch):
    root = tmp_path / "state"
    write_earlier_state(root, "perennial-shop")

    def busy(self, target):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(live_state.Path, "rename", busy)
    with pytest.raises(StoreError, match=r"cannot be moved to .*perennial-shop"):
        live_folder(project_of())
    assert (root / OLD_DAY).exists()
