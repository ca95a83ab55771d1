"""A later try can find and end a command, with everything that it has started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from orchestration.command import Command, Overtaken
from orchestration.process import alive, end_all, marked, start_time

TREE = """
import os, subprocess, sys, time
inner = "import os,time; os.setsid(); print('inner', flush=True); time.sleep(100)"
subprocess.Popen([sys.executable, '-c', inner])
subprocess.Popen(['sh', '-c', 'trap "" TERM; sleep 100'])
print('started', flush=True)
time.sleep(100)
"""


@pytest.fixture
def command(tmp_path: Path):
    made = Command(mark=f"{tmp_path}#run/stage", folder=tmp_path / "tasks", name="stage")
    yield made
    end_all(made.mark)
    if made.process:
        made.process.wait()


def start(command: Command, code: str, tmp_path: Path) -> None:
    command.start([sys.executable, "-c", code], folder=tmp_path, environment=dict(os.environ))


def test_output_and_status_come_back(command: Command, tmp_path: Path) -> None:
    start(command, "print('a'); print('b\\rc'); raise SystemExit(3)", tmp_path)
    assert list(command.lines()) == ["a", "c"]
    assert command.wait() == 3
    record = command.previous()
    assert record is not None
    assert (record["ended"], record["returned"], record["pid"]) == (True, 3, command.process.pid)
    assert abs(record["start"] - time.time()) < 60


def test_the_result_is_what_the_command_wrote_to_its_file_and_never_that_of_an_earlier_try(
    command: Command, tmp_path: Path
) -> None:
    write = f"open({str(command.result_file)!r}, 'w').write('{{\"made\": 1}}'); print('{{\"made\": 2}}')"
    for code, expected in ((write, {"made": 1}), ("print('{\"made\": 3}')", None)):
        start(command, code, tmp_path)
        list(command.lines())
        command.wait()
        assert command.result() == expected


def test_stdin_is_empty(command: Command, tmp_path: Path) -> None:
    start(command, "import sys; print(repr(sys.stdin.read()))", tmp_path)
    assert list(command.lines()) == ["''"]
    assert command.wait() == 0


@pytest.mark.slow
def test_a_later_try_ends_the_whole_tree(command: Command, tmp_path: Path) -> None:
    start(command, TREE, tmp_path)
    while "inner" not in command.log_file.read_text():
        time.sleep(0.05)
    members = marked(command.mark)
    assert len(members) >= 3
    os.kill(command.process.pid, signal.SIGKILL)  # as when dvc alone is killed: its command writes on
    later = Command(mark=command.mark, folder=tmp_path / "tasks", name="stage")
    assert later.settle()
    assert not any(alive(pid) for pid in members)
    start(later, "print('again')", tmp_path)
    assert list(later.lines()) == ["again"]
    assert later.wait() == 0
    with pytest.raises(Overtaken):
        command.wait()


def test_a_try_that_was_killed_before_it_knew_its_commands_number_has_not_ended(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise SystemExit("killed")

    command.settle()
    monkeypatch.setattr(Command, "_write", killed)
    with pytest.raises(SystemExit):
        start(command, "pass", tmp_path)
    command.process.wait()
    later = Command(mark=command.mark, folder=tmp_path / "tasks", name="stage")
    assert marked(command.mark) == []
    assert later.settle()


def test_an_earlier_try_that_still_lives_leaves_a_later_one_alone(command: Command, tmp_path: Path) -> None:
    start(command, "import time; time.sleep(100)", tmp_path)
    later = Command(mark=command.mark, folder=tmp_path / "tasks", name="stage")
    assert later.settle()  # its command is dead, and the earlier try has not noticed yet
    start(later, "import time; time.sleep(2); print('whole')", tmp_path)
    with pytest.raises(Overtaken):
        command.wait()
    command.end()
    assert list(later.lines()) == ["whole"]
    assert later.wait() == 0
    assert json.loads(later.record_file.read_text())["token"] == later.token


def test_a_try_that_was_overtaken_before_it_began_starts_nothing(command: Command, tmp_path: Path) -> None:
    command.settle()
    later = Command(mark=command.mark, folder=tmp_path / "tasks", name="stage")
    assert not later.settle()
    with pytest.raises(Overtaken):
        start(command, "open('written', 'w')", tmp_path)
    assert command.process is None
    assert not (tmp_path / "written").exists()
    start(later, "print('alone')", tmp_path)
    assert list(later.lines()) == ["alone"]
    assert later.wait() == 0


def test_processes_are_found_without_any_record(command: Command, tmp_path: Path) -> None:
    start(command, "import time; time.sleep(100)", tmp_path)
    command.record_file.unlink()
    while not marked(command.mark):  # the system may show a new process's environment a moment later
        time.sleep(0.05)
    assert Command(mark=command.mark, folder=tmp_path / "tasks", name="stage").settle()
    assert command.process.wait() == -signal.SIGKILL


def test_a_record_of_another_boot_or_a_reused_pid_kills_no_process(command: Command, tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "100"], start_new_session=True)
    try:
        for record in (
            {"pid": bystander.pid, "start": start_time(bystander.pid) - 60, "token": "t", "ended": False},
            {"pid": bystander.pid, "start": 1.0, "token": "t", "ended": False},  # before this boot
        ):
            command.record_file.parent.mkdir(parents=True, exist_ok=True)
            command.record_file.write_text(json.dumps(record))
            assert command.settle()
            assert alive(bystander.pid)
        command.record_file.write_text("{cut")
        assert not command.settle()
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.slow
def test_what_a_command_leaves_in_the_background_ends_with_it(command: Command, tmp_path: Path) -> None:
    start(command, "import subprocess; subprocess.Popen(['sleep', '100'], start_new_session=True)", tmp_path)
    assert list(command.lines()) == []
    assert command.wait() == 0
    assert marked(command.mark) == []


@pytest.mark.slow
def test_a_command_ends_when_its_watcher_dies(tmp_path: Path) -> None:
    """The supervising process is killed: the task notices and takes its command along."""
    code = f"""
import os, sys, time
sys.path.insert(0, {str(Path(__file__).resolve().parents[2] / "dags")!r})
from pathlib import Path
from orchestration.command import Command
if os.fork():
    time.sleep(100)
command = Command(mark={str(tmp_path)!r} + "#run/x", folder=Path({str(tmp_path)!r}), name="x")
command.start(["sleep", "100"], folder=Path({str(tmp_path)!r}), environment=dict(os.environ))
for line in command.lines():
    pass
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while not marked(f"{tmp_path}#run/x") and time.monotonic() < until:
        time.sleep(0.05)
    assert marked(f"{tmp_path}#run/x")
    supervisor.kill()
    supervisor.wait()
    while marked(f"{tmp_path}#run/x") and time.monotonic() < until:
        time.sleep(0.05)
    assert marked(f"{tmp_path}#run/x") == []
