"""One program: its exit codes are the errors' own, and a known error is one message without a traceback."""

import sys
from types import ModuleType

import pytest
import typer

from pipelines import __main__ as program
from pipelines.runtime.errors import GateClosed, InputError, ParamsError, PerennialError, StoreError

ERRORS = [ParamsError, GateClosed, InputError, StoreError, PerennialError]


@pytest.fixture()
def with_command(monkeypatch):
    module = ModuleType("one_command")

    def register(app: typer.Typer) -> None:
        @app.command()
        def fail(kind: int) -> None:
            if kind < 0:
                raise typer.Exit(-kind)
            raise ERRORS[kind]("what is wrong")

    module.register = register
    monkeypatch.setitem(sys.modules, "one_command", module)
    monkeypatch.setattr(program, "COMMANDS", ("one_command",))


@pytest.mark.parametrize("kind", range(len(ERRORS)))
def test_a_known_error_has_its_own_exit_code_and_no_traceback(kind, with_command, capsys):
    assert program.main(["fail", str(kind)]) == ERRORS[kind].exit_code
    assert capsys.readouterr().err == "perennial: what is wrong\n"


def test_a_command_chooses_its_exit_code(with_command):
    assert program.main(["fail", "--", "-7"]) == 7


@pytest.mark.parametrize("arguments", [["fail"], ["fail", "x"], ["unknown"]])
def test_a_usage_error_is_2(arguments, with_command, capsys):
    assert program.main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err
