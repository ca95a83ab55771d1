"""A command's result reaches a person and an orchestrator alike."""

import json

import pytest

from pipelines.runtime.results import RESULT_VARIABLE, report


@pytest.mark.parametrize("named", [True, False])
def test_a_result_is_printed_and_written_to_the_named_file(named, tmp_path, monkeypatch, capsys):
    file = tmp_path / "made" / "result.json"
    monkeypatch.delenv(RESULT_VARIABLE, raising=False)
    if named:
        monkeypatch.setenv(RESULT_VARIABLE, str(file))
    report({"version": 3, "moved": True})
    assert json.loads(capsys.readouterr().out) == {"version": 3, "moved": True}
    assert file.exists() is named
    assert not named or json.loads(file.read_text()) == {"version": 3, "moved": True}
