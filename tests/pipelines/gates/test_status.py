"""Gates: closed on a missing, broken or closed verdict; only an intact override of that verdict lets one pass."""

import json
from pathlib import Path

import pytest

from pipelines.gates.override import main, record_override
from pipelines.gates.status import override_file, require_open
from pipelines.gates.verdict import Check, Verdict
from pipelines.runtime.errors import GateClosed
from pipelines.runtime.store import write_verdict


@pytest.fixture(autouse=True)
def _in_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outs = {
        name: {"metrics": [{f"data/{name}/verdict.json": {"cache": False}}]} for name in ("split", "label", "promote")
    }
    Path("dvc.yaml").write_text(
        json.dumps({"stages": {**outs, "baseline": {"metrics": ["data/baseline/metrics.json"]}}})
    )


def verdict(value: float) -> Verdict:
    check = Check.at_least("kappa", value, limit=0.7, rows=100, min_rows=1, required=True, sentence="agreement")
    return Verdict.of("label", [check])


def override(why: str = "the labels were read by hand") -> Path:
    return Path(record_override(stage="label", who="Ada", when="2026-01-01T00:00:00Z", why=why))


def test_an_open_gate_lets_pass():
    write_verdict(verdict(0.8))
    assert require_open("label") == ()


def test_a_closed_gate_names_the_check_and_the_way_out():
    write_verdict(verdict(0.6))
    with pytest.raises(GateClosed) as error:
        require_open("label")
    assert "kappa failed: 0.6, limit at least 0.7, 100 rows" in str(error.value)
    assert "python -m pipelines.gates.override --stage label" in str(error.value)


def test_a_missing_verdict_is_a_closed_gate():
    with pytest.raises(GateClosed, match="is missing; run `dvc repro label`"):
        require_open("label")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"stage": "label", "passed": true}'])
def test_a_broken_verdict_is_a_closed_gate(content):
    write_verdict(verdict(0.8))
    Path("data/label/verdict.json").write_text(content, encoding="utf-8")
    with pytest.raises(GateClosed, match="cannot be trusted"):
        require_open("label")


def test_an_override_opens_exactly_its_verdict():
    write_verdict(verdict(0.6))
    override()
    (used,) = require_open("label")
    assert used["who"] == "Ada"
    write_verdict(verdict(0.5))
    with pytest.raises(GateClosed):
        require_open("label")


@pytest.mark.parametrize("key", ["why", "who", "when", "checks", "signature", "verdict_digest"])
def test_an_edited_override_is_refused(key):
    write_verdict(verdict(0.6))
    file = override()
    record = json.loads(file.read_text())
    record[key] = "something else"
    file.write_text(json.dumps(record))
    with pytest.raises(GateClosed, match="was edited"):
        require_open("label")


def test_an_override_without_a_reason_is_refused():
    write_verdict(verdict(0.6))
    with pytest.raises(GateClosed, match="a reason of ten letters"):
        override(why="because")


def test_an_open_gate_has_nothing_to_override(capsys):
    write_verdict(verdict(0.8))
    write_verdict(Verdict.of("promote", []))
    assert main(["--stage", "label", "--who", "Ada", "--why", "no reason at all"]) == 65
    said = (
        "gate 'label' is open; there is nothing to override. Gates: split (no verdict), label (open), promote (closed)"
    )
    assert said in capsys.readouterr().err
    assert not Path("data/overrides").exists()


@pytest.mark.parametrize("stage", ["labl", "baseline", "", "../label"])
def test_a_gate_that_is_not_there_is_refused_with_those_that_are(stage, capsys):
    write_verdict(verdict(0.6))
    assert main(["--stage", stage, "--who", "Ada", "--why", "the labels were read by hand"]) == 64
    said = f"there is no gate {stage!r}. Gates: split (no verdict), label (closed), promote (no verdict)"
    assert said in capsys.readouterr().err


def test_a_gate_without_a_verdict_has_nothing_to_override(capsys):
    assert main(["--stage", "split", "--who", "Ada", "--why", "the labels were read by hand"]) == 65
    assert "data/split/verdict.json is missing; run `dvc repro split`" in capsys.readouterr().err


def test_the_command_line_writes_the_record(capsys):
    write_verdict(verdict(0.6))
    assert main(["--stage", "label", "--who", "Ada", "--why", "the labels were read by hand"]) == 0
    digest = json.loads(Path("data/label/verdict.json").read_text())["digest"]
    assert override_file("label", digest).exists()
    assert "git add" in capsys.readouterr().out
