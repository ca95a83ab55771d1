"""Every parameter is listed with its value, source, limits and description."""

import json
import shutil
from pathlib import Path

import pytest

from pipelines.__main__ import main
from pipelines.runtime.errors import ParamsError
from pipelines.runtime.listing import list_parameters
from pipelines.runtime.params import Parameters

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the repository's own parameters, as the working directory."""
    for name in ("params.yaml", "pipelines/domains/complaints/params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_value_comes_from_params_yaml_the_domain_or_the_default():
    rows = {row.name: row for row in list_parameters(Parameters.read(ROOT))}
    assert (rows["promote.margin"].value, rows["promote.margin"].source) == (0.02, "params.yaml")
    assert (rows["label.min_kappa"].value, rows["label.min_kappa"].source) == (0.7, "domain")
    assert (rows["promote.resamples"].value, rows["promote.resamples"].source) == (2000, "default")
    assert rows["near_duplicates.bands"].value == 32
    assert not any(name.startswith("dedupe.near_duplicates") for name in rows)  # listed once, as a section


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("promote.resamples", "integer >= 200"),
        ("label.ties", "abstain | random"),
        ("finetune.train_layers", "integer | null >= 1"),
        ("label.chosen_on", "list of train | validation | recent | anchor length >= 1"),
        ("evaluate.min_scores", "mapping | null"),
        ("ingest.start", "day"),
        ("serve.canary.max_slowdown", "number > 1"),
    ],
)
def test_what_is_accepted_is_named(name, accepted):
    assert {row.name: row.accepted for row in list_parameters(Parameters.read(ROOT))}[name] == accepted


def test_an_unknown_section_is_rejected_with_the_nearest():
    with pytest.raises(ParamsError, match="promote"):
        list_parameters(Parameters.read(ROOT), "promot")


def test_the_command_lists_one_section(checkout, capsys):
    assert main(["params", "list", "split"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "split.leak.folds = 5 (default)" in lines
    assert all(line.startswith(("split.", "    ")) for line in lines)


def test_the_command_checks_everything(checkout, capsys):
    assert main(["params", "check"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"] is True
    text = (checkout / "params.yaml").read_text()
    (checkout / "params.yaml").write_text(text.replace("margin: 0.02", "margin: 2").replace("leaves: 8", "leaves: 1"))
    assert main(["params", "check"]) == 64
    message = capsys.readouterr().err
    assert "promote.margin" in message and "baseline.boosting.leaves" in message
