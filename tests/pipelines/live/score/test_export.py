"""Which exported networks are used: those that passed their gate and have not changed since."""

import json

import pytest

from pipelines.gates.verdict import Check, Verdict
from pipelines.live.score import export as export_module
from pipelines.live.score.export import VERDICT, export_folder, passed_export, with_verdict

NETWORK, WEIGHTS = "encoder.xml", "encoder.bin"
AGREEMENT = Check.at_least("agreement", 1.0, limit=0.995, rows=9, min_rows=1, required=True, sentence="alike")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A model folder with an export that has passed; compiling it is replaced."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "predictor.json").write_text("{}")
    folder = export_folder(model, exports=tmp_path / "exports")
    folder.mkdir(parents=True)
    (folder / NETWORK).write_text("<net/>")
    (folder / WEIGHTS).write_bytes(b"weights")
    with_verdict(folder, Verdict.of("export", [AGREEMENT]))
    monkeypatch.setattr(export_module, "compiled", lambda folder, threads, streams: "the export")
    return model, folder, tmp_path / "exports"


def test_an_export_that_has_passed_is_used(kept):
    found = passed_export(kept[0], exports=kept[2], threads=1, streams=1)
    assert found.vectors == "the export"
    assert found.verdict == json.loads((kept[1] / VERDICT).read_text())["verdict"]["digest"]


def _edit(folder, **changed):
    record = json.loads((folder / VERDICT).read_text())
    (folder / VERDICT).write_text(json.dumps({**record, **changed}))


def _refuse(folder):
    _edit(folder, passed=False)


def _forge(folder):
    """A closed verdict edited to look open."""
    verdict = json.loads((folder / VERDICT).read_text())["verdict"]
    _edit(folder, verdict={**verdict, "checks": [{**check, "value": 0.9} for check in verdict["checks"]]})


@pytest.mark.parametrize(
    "spoil",
    [
        _refuse,
        _forge,
        lambda folder: _edit(folder, runtime={"openvino": "another", "precision": "bf16"}),
        lambda folder: (folder / WEIGHTS).write_bytes(b"others"),
        lambda folder: (folder / NETWORK).unlink(),
        lambda folder: (folder / VERDICT).write_text("{"),
        lambda folder: (folder / VERDICT).unlink(),
    ],
)
def test_a_refused_changed_or_broken_export_is_not_used(kept, spoil):
    spoil(kept[1])
    assert passed_export(kept[0], exports=kept[2], threads=1, streams=1) is None


def test_the_export_of_another_model_is_not_used(kept):
    (kept[0] / "predictor.json").write_text('{"other": 1}')
    assert passed_export(kept[0], exports=kept[2], threads=1, streams=1) is None
