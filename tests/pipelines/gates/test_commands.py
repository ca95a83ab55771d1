"""The commands `gate` and `override` in a checkout."""

import json
from pathlib import Path

import pytest

from pipelines.__main__ import main
from pipelines.runtime.store import Store
from tests.factories.verdicts import verdict

WHO = ["--who", "Ada", "--why", "the labels were read by hand"]


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    """The store of a checkout in the working directory, with a closed gate `label` and no verdict of `split`."""
    monkeypatch.chdir(tmp_path)
    outs = {name: {"metrics": [{f"data/{name}/verdict.json": {"cache": False}}]} for name in ("split", "label")}
    Path("dvc.yaml").write_text(json.dumps({"stages": outs}))
    Path("domain").mkdir()
    Path("domain/params.yaml").write_text("{}\n")
    Path("params.yaml").write_text("domain: domain\n")
    store = Store(tmp_path / "data")
    store.write_verdict(verdict(value=0.6))
    return store


def test_gate_reports_a_closed_gate_and_the_override_that_opens_it(store, tmp_path, monkeypatch):
    monkeypatch.setenv("PERENNIAL_RESULT_FILE", str(tmp_path / "result.json"))
    assert main(["gate", "label"]) == 0
    assert json.loads((tmp_path / "result.json").read_text())["open"] is False
    assert main(["override", "--stage", "label", *WHO]) == 0
    file = json.loads((tmp_path / "result.json").read_text())["override"]
    assert Path(file).is_file()
    assert main(["gate", "label"]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["open"], result["passed"], result["override"]["who"]) == (True, False, "Ada")


@pytest.mark.parametrize(("stage", "code"), [("split", 65), ("baseline", 64)])
def test_override_refuses_what_is_not_a_closed_gate(store, stage, code):
    assert main(["override", "--stage", stage, *WHO]) == code
    assert not (store.folder / "overrides").exists()
