"""The environment's `dvc`: lock files are written whole, the dead hold no lock, and stages find their Python."""

import json
import logging
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipelines.runtime import runner as stage

WRITE = """
import os, dvc.utils.serialize as s
from dvc.fs import localfs
import dvc.utils.serialize._yaml as y
def dying(data, stream, **_):
    stream.write("schema: '2.0'\\nsta")
    stream.flush()
    os.kill(os.getpid(), 9)
if __import__("sys").argv[2] == "die":
    y._dump = dying
with s.modify_yaml(__import__("sys").argv[1], fs=localfs) as data:
    data["schema"] = "3.0"
"""

RWLOCK = """
import json, os, sys
from dvc.fs import localfs
import dvc.rwlock as r
def dying(lock, stream):
    stream.write('{"write": {"')
    stream.flush()
    os.kill(os.getpid(), 9)
if sys.argv[2] == "die":
    json.dump = dying
with r.rwlock(sys.argv[1], localfs, "cmd", ["a"], ["b"], False):
    pass
"""


SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "dvc_whole_files.py"
INSTALL = f"import runpy; runpy.run_path({str(SCRIPT)!r})['install']()\n"


def python(code, *arguments):
    command = [sys.executable, "-c", INSTALL + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_environments_dvc_is_this_script():
    installed = Path(sys.executable).parents[1] / "share" / SCRIPT.name
    assert installed.read_text() == SCRIPT.read_text(), "the environment is older than the script: make setup"


@pytest.mark.slow
def test_a_kill_while_dvc_lock_is_written_leaves_the_old_one(tmp_path):
    lock = tmp_path / "dvc.lock"
    lock.write_text("schema: '2.0'\n")
    lock.chmod(0o640)
    assert python(WRITE, lock, "die").returncode == -9
    assert lock.read_text() == "schema: '2.0'\n"
    done = python(WRITE, lock, "live")
    assert done.returncode == 0, done.stderr
    assert lock.read_text() == "schema: '3.0'\n"
    assert lock.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["dvc.lock"]


EDIT = """
import sys
from dvc import dvcfile
from dvc.fs import localfs
with dvcfile.modify_yaml(sys.argv[1], fs=localfs) as data:
    data["stages"]["say"]["cmd"] = sys.argv[2]
"""


@pytest.mark.slow
def test_a_lock_file_is_written_only_when_something_changed(tmp_path):
    lock = tmp_path / "dvc.lock"
    lock.write_text("schema: '2.0'\nstages: {say: {cmd: echo 1e5, params: {rate: 1e-05}}}\n")
    before = lock.stat()
    assert python(EDIT, lock, "echo 1e5").returncode == 0
    assert (lock.stat().st_ino, lock.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert python(EDIT, lock, "'2'").returncode == 0
    assert yaml.safe_load(lock.read_text())["stages"]["say"]["cmd"] == "'2'"
    assert "rate: 1e-05\n" in lock.read_text()


@pytest.mark.slow
def test_another_file_keeps_its_comments(tmp_path):
    stages = tmp_path / "dvc.yaml"
    stages.write_text("stages:  # all of them\n  say: {cmd: echo}\n")
    assert python(EDIT, stages, "echo 2").returncode == 0
    assert stages.read_text() == "stages:  # all of them\n  say: {cmd: echo 2}\n"


@pytest.mark.slow
def test_a_kill_while_the_rwlock_is_written_leaves_a_readable_one(tmp_path):
    assert python(RWLOCK, tmp_path, "die").returncode == -9
    assert not (tmp_path / "rwlock").exists()
    done = python(RWLOCK, tmp_path, "live")
    assert done.returncode == 0, done.stderr
    assert not any(json.loads((tmp_path / "rwlock").read_text()).values())


@pytest.mark.slow
def test_a_zombie_holds_no_lock_of_dvc(tmp_path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    try:
        time.sleep(0.05)  # it is dead and not reaped
        held = {"write": {"b": {"pid": child, "cmd": "dvc repro"}}, "read": {}}
        (tmp_path / "rwlock").write_text(json.dumps(held))
        done = python(RWLOCK, tmp_path, "live")
        assert done.returncode == 0, done.stderr
    finally:
        os.waitpid(child, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "holds"), [("dvc", True), ("another", False)])
def test_only_a_dvc_that_is_alive_holds_a_lock(tmp_path, name, holds):
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", name])
    try:
        held = {"write": {"b": {"pid": holder.pid, "cmd": "dvc repro"}}, "read": {}}
        (tmp_path / "rwlock").write_text(json.dumps(held))
        done = python(RWLOCK, tmp_path, "live")
    finally:
        holder.kill()
        holder.wait()
    assert (done.returncode != 0 and "busy" in done.stderr) if holds else done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/usr/bin:/bin", ""])
def test_a_stage_runs_with_the_python_of_its_dvc_whatever_the_path(tmp_path, path):
    command = "python -c 'import sys; print(sys.prefix)' > prefix"
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": {"say": {"cmd": command, "outs": ["prefix"]}}}))
    environment = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}
    for words in (["init", "--no-scm", "--quiet"], ["repro"]):
        answer = subprocess.run(
            [sys.executable, SCRIPT, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "prefix").read_text().strip() == sys.prefix
    assert f"cmd: {command}" in (tmp_path / "dvc.lock").read_text()  # the same on every machine


def _hold(folder, held, seen):
    os.chdir(folder)
    with stage.alone("label"):
        held.set()
        assert seen.wait(120)


def test_a_stage_waits_for_one_that_was_left_at_work(tmp_path, monkeypatch, caplog):
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    fork = multiprocessing.get_context("fork")
    held, seen = fork.Event(), fork.Event()
    other = fork.Process(target=_hold, args=(tmp_path, held, seen))
    other.start()
    assert held.wait(120)
    with stage.alone("dedupe"):
        assert caplog.records == []
    # The other goes on only once this process has reported that it waits.
    monkeypatch.setattr(stage.logger, "warning", lambda *words: (logging.warning(*words), seen.set()))
    with stage.alone("label"):
        other.join()
        assert f"waiting for process {other.pid}" in caplog.text
    assert other.exitcode == 0
    assert (tmp_path / ".dvc" / "tmp" / "stage.label.lock").read_text() == f"{os.getpid()}\n"
