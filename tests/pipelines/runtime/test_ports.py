"""A port that cannot be used is refused in one line, before torch or MLflow is loaded."""

import socket
import subprocess
import sys

import pytest

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.ports import port_of, require_free

COMMANDS = ["serve", "mlflow"]
HEAVY = "import sys; sys.modules.update(torch=None, mlflow=None); import runpy; sys.argv = sys.argv[1:]; "


@pytest.fixture
def taken():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def run(command, port, repository):
    """The command in a process in which neither torch nor mlflow can be imported."""
    code = HEAVY + "runpy.run_module('pipelines', run_name='__main__', alter_sys=True)"
    arguments = [sys.executable, "-c", code, "pipelines", command, f"--port={port}"]
    return subprocess.run(arguments, cwd=repository, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "80.5", "", "٨٠"])
def test_an_invalid_port_is_refused(text):
    with pytest.raises(ParamsError, match=r"invalid PORT = .*: expected an integer from 1 to 65535"):
        port_of(text)


def test_a_port_is_read():
    assert port_of("1") == 1 and port_of("65535") == 65535


@pytest.mark.enable_socket
def test_a_free_port_is_accepted_and_a_foreign_host_is_not(taken):
    with pytest.raises(ParamsError, match=f"PORT = {taken} of 127.0.0.1: Address already in use"):
        require_free("127.0.0.1", port=taken)
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        free = tried.getsockname()[1]
    require_free("127.0.0.1", port=free)
    with pytest.raises(ParamsError, match=r"PORT = \d+ of 192\.0\.2\.1"):
        require_free("192.0.2.1", port=free)


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_refuses_before_anything_heavy_loads(command, taken, repository):
    for port, message in ((taken, "Address already in use"), (70000, "invalid PORT = '70000'")):
        done = run(command, port, repository)
        assert done.returncode == 64 and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("perennial: ") and message in done.stderr
