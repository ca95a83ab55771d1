"""Days on a command line: an invalid one is refused in one line that names the argument and the value."""

from datetime import date

import pytest

from pipelines.__main__ import main as program
from pipelines.runtime.days import day_of
from pipelines.runtime.errors import ParamsError

WRONG = ["2026-02-30", "tomorrow", "2026-3-2", ""]
COMMANDS = {
    "score": (program, ["score", "--start=2026-03-02"], "--end"),
    "drift": (program, ["drift", "measure"], "--end"),
    "replay": (program, ["drift", "replay", "--start=2025-01-06"], "--end"),
    "retrain": (program, ["run", "--start=2026-03-02"], "--end"),
    "canary": (program, ["canary"], "--today"),
}


def test_a_day_is_read():
    assert day_of("START")("2026-03-02") == date(2026, 3, 2)
    with pytest.raises(ParamsError, match="invalid START = 'x': expected a day such as 2026-03-02"):
        day_of("START")("x")


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_invalid_day_is_one_line_and_exit_code_64(command, text, capsys, monkeypatch, repository):
    monkeypatch.chdir(repository)
    main, words, option = COMMANDS[command]
    assert main([*words, f"{option}={text}"]) == 64
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and option[2:].upper() in err
    assert repr(text) in err or "is missing" in err


@pytest.mark.parametrize("command", ["score", "replay", "retrain"])
@pytest.mark.parametrize("end", ["2026-03-02", "2026-03-01"])
def test_a_window_without_a_day_is_one_line(command, end, capsys, monkeypatch, repository):
    monkeypatch.chdir(repository)
    main, words, option = COMMANDS[command]
    words = [word if "=" not in word else "--start=2026-03-02" for word in words]
    assert main([*words, f"{option}={end}"]) == (64 if command == "retrain" else 66)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "2026-03-02" in err and end in err and ("before" in err)
