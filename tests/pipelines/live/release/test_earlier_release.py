"""A champion released before the subject folders is verified, scored with, pinned, replaced and rolled back to."""

import json
import shutil
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from pipelines.__main__ import main
from pipelines.live.release.registry import CHAMPION, Registry
from pipelines.live.score.scoring import find_package, score_window
from pipelines.models.predictor import Predictor
from pipelines.records.domain import Domain
from pipelines.runtime.champion import read_champion
from pipelines.runtime.project import Project
from pipelines.stages.ingest import window
from tests.factories.earlier_release import OVERRIDE, register_earlier
from tests.factories.state import state_root
from tests.factories.tiny_release import register_tiny, release

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
START, END = date(2026, 1, 5), date(2026, 1, 6)


@pytest.fixture
def project(empty_database, tmp_path, repository, monkeypatch):
    """A checkout of this code with a state root whose only champion is the earlier version."""
    state_root().mkdir(parents=True)
    shutil.copyfile(empty_database, state_root() / "mlflow.db")
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("pipelines", "params.yaml", "dvc.yaml"):
        (root / name).symlink_to(repository / name)
    monkeypatch.chdir(root)
    project = Project.open()
    domain = Domain(project.domain_folder)
    registry = Registry.open(project)
    assert register_earlier(registry, tmp_path, domain=domain.schema.name, labels=domain.schema.labels) == 1
    return project


def reported(capsys, *words):
    """Run a command that succeeds and return its result."""
    capsys.readouterr()
    assert main(list(words)) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_it_is_verified_and_its_history_is_read(project, capsys):
    assert reported(capsys, "verify") == {"champion": 1, "history_lines": 1, "signed": False, "intact": True}
    assert [(line["action"], line["to"]) for line in reported(capsys, "history", "--json")] == [("release", 1)]


def test_a_window_is_scored_with_it(project, monkeypatch):
    features = [feature.name for feature in Domain(project.domain_folder).schema.features]
    received = pd.date_range(START, periods=3, freq="h", tz="UTC")
    texts = ["my card was charged twice", "a debt that is not mine", None]
    records = pd.DataFrame({"id": list("abc"), "text": texts, "received_at": received, **dict.fromkeys(features)})
    monkeypatch.setattr(window, "read_window", lambda *_, **__: (records, {"passed": True}))
    result = score_window(project, start=START, end=END, now=datetime.now(UTC))
    assert (result["model_version"], result["records"], result["added"]) == (1, 3, 3)
    assert result["overridden"] == {OVERRIDE["stage"]: OVERRIDE["checks"]}


def test_it_is_pinned_for_the_next_training_to_compare_with(project, tmp_path, capsys):
    assert reported(capsys, "pin") == {"version": 1}
    champion = read_champion(project.store)
    assert (champion.version, champion.decisions_used, champion.anchor_best["version"]) == (1, 1, 1)
    assert champion.trained_ids() == {"t1", "t2"}
    pinned = Predictor.load(champion.model_folder, models_folder=tmp_path / "models")
    released = Predictor.load(find_package(project, 1)[1] / "model")
    records = champion.anchor()
    np.testing.assert_array_equal(pinned.predict_proba(records), released.predict_proba(records))


def test_it_is_replaced_and_rolled_back_to(project, tmp_path, capsys):
    registry = Registry.open(project)
    labels = Domain(project.domain_folder).schema.labels
    release(registry, register_tiny(registry, tmp_path / "later", labels=labels, seed=1))
    assert registry.alias(CHAMPION) == 2
    assert reported(capsys, "rollback", "--reason", "worse on cards")["version"] == 1
    assert registry.alias(CHAMPION) == 1
    assert reported(capsys, "verify")["history_lines"] == 3
