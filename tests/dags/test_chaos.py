"""Kills for real: after the retry the result is that of an undisturbed run; nothing is doubled or left behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException
from flow import Flow
from lightly import LIGHT, LightRepository, git
from orchestration.process import alive, marked
from orchestration.workspace import Workspace, slug

pytestmark = [
    pytest.mark.slow,
    pytest.mark.chaos,
    pytest.mark.timeout(900),
    # A task that is killed on purpose leaves a child that nobody waits for; that is what these tests are about.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SLOW = {"overrides": {"pace": 0.6}}
STAGES = ["ingest", "split@en", "train@de-2", "gate", "merge", "promote"]


def start(light: LightRepository, run_id: str, *tasks: str, **more: str) -> subprocess.Popen[str]:
    """A process that runs tasks of a run, as Airflow's task process would."""
    command = [sys.executable, str(LIGHT.parent / "flow.py"), run_id, json.dumps(SLOW), *tasks]
    return subprocess.Popen(
        command,
        env={**light.environment, **more},
        cwd=light.origin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def command_of(mark: str, *, seconds: float = 60) -> list[int]:
    """Processes of a task's command, leader first, once there are any."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := marked(mark):
            return sorted(found)
        time.sleep(0.01)
    raise TimeoutError(f"no process has the mark {mark}")


def kill(victim: str, task: subprocess.Popen[str], mark: str, moment: float) -> None:
    """Wait a moment after the command's start, then kill what the test asks for."""
    command_of(mark)
    time.sleep(moment)
    members = sorted(marked(mark))
    targets = {"dvc": members[:1], "command": members[1:] or members, "task": [task.pid], "all": [task.pid, *members]}
    for pid in targets[victim]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def expected_lock(light: LightRepository, tag: str, folder: Path) -> tuple[str, str]:
    """The recorded lock file, and that of an undisturbed `dvc repro` of the same commit."""
    git(folder.parent, "clone", "--quiet", str(light.origin), str(folder))
    git(folder, "checkout", "--quiet", tag)
    recorded = (folder / "dvc.lock").read_text()
    (folder / "dvc.lock").unlink()
    light.tool("dvc", "repro", folder=folder)
    return recorded, (folder / "dvc.lock").read_text()


def finish(light: LightRepository, flow: Flow, folder: Path) -> None:
    """Let the run come to its end and compare it with an undisturbed one."""
    flow.do_stages()
    flow.do(flow.release)
    tag = flow.do(flow.record)["tag"]
    flow.do(flow.cleanup)
    assert marked(f"{light.home}#", prefix=True) == []
    recorded, undisturbed = expected_lock(light, tag, folder)
    assert recorded == undisturbed
    state = light.registry()
    assert len(state["versions"]) == state["champion"] == 1
    cache = light.home / "dvc-cache"
    assert not [path for path in (light.home / "runs" / "work").glob("*") if path.is_dir()]
    import hashlib

    for path in (cache / "files" / "md5").rglob("*"):
        if path.is_file() and "." not in path.name:
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            assert digest == path.parent.name + path.name, f"{path} is corrupt"


@pytest.mark.parametrize("victim", ["dvc", "command", "task", "all"])
def test_killed_in_a_stage(light, project, tmp_path: Path, victim: str) -> None:
    draw = random.Random(victim)
    flow = Flow(project, "chaos", SLOW)
    flow.do(flow.prepare)
    for stage in ("ingest", "merge"):
        if stage == "merge":
            for name in flow.stages:
                if name not in {"merge", "promote"}:
                    flow.do(flow.stages[name])
        task = start(light, "chaos", stage)
        mark = Workspace(project, "chaos").mark(stage)
        kill(victim, task, mark, draw.uniform(0.0, 0.9))
        flow.do(flow.stages[stage])  # the retry, at once: what the dead try left may still be writing
        said, _ = task.communicate()
        assert marked(mark) == [], said
    finish(light, flow, tmp_path / "undisturbed")


@pytest.mark.long
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("victim", ["dvc", "command", "task", "all"])
@pytest.mark.parametrize("turn", range(3))
def test_killed_in_every_stage(light, project, tmp_path: Path, stage: str, victim: str, turn: int) -> None:
    flow = Flow(project, "chaos", SLOW)
    flow.do(flow.prepare)
    order = list(flow.stages)
    for name in order[: order.index(stage)]:
        flow.do(flow.stages[name])
    task = start(light, "chaos", stage)
    mark = Workspace(project, "chaos").mark(stage)
    kill(victim, task, mark, random.Random(f"{stage}{victim}{turn}").uniform(0.0, 1.5))
    flow.do(flow.stages[stage])
    task.kill()
    task.communicate()
    finish(light, flow, tmp_path / "undisturbed")


@pytest.mark.parametrize("moment", [0.1, 0.6])
def test_killed_between_registration_and_alias_there_is_one_version(light, project, moment: float) -> None:
    flow = Flow(project, "release")
    flow.do(flow.prepare)
    flow.do_stages()
    task = start(light, "release", "release", LIGHT_RELEASE_PAUSE="1.0")
    mark = Workspace(project, "release").mark("release")
    command_of(mark)
    registry = light.home / "registry" / "registry.json"
    while not registry.exists() or not json.loads(registry.read_text())["versions"]:
        time.sleep(0.02)
    time.sleep(moment)
    assert json.loads(registry.read_text())["champion"] is None
    for pid in (task.pid, *marked(mark)):
        os.kill(pid, signal.SIGKILL)
    task.communicate()
    assert flow.do(flow.release)["version"] == 1
    assert (len(light.registry()["versions"]), light.registry()["champion"]) == (1, 1)


@pytest.mark.parametrize("moment", [0.0, 0.25, 0.7])
def test_killed_while_record_pushes(light, project, tmp_path: Path, moment: float) -> None:
    flow = Flow(project, "record", SLOW)
    flow.do(flow.prepare)
    flow.do_stages()
    flow.do(flow.release)
    task = start(light, "record", "record")
    mark = Workspace(project, "record").mark("record")
    command_of(mark)
    time.sleep(moment)
    os.killpg(task.pid, signal.SIGKILL)
    task.communicate()
    left = marked(mark)
    tags = light.tags()
    finish(light, flow, tmp_path / "undisturbed")
    assert not any(alive(pid) for pid in left)
    if any(name.startswith("runs/") for name in tags):
        assert tags == light.tags(), "a run's tag is the last thing that is pushed"


def test_a_push_that_was_killed_leaves_no_lock_behind(light, project, tmp_path: Path) -> None:
    flow = Flow(project, "locked")
    flow.do(flow.prepare)
    flow.do_stages()
    flow.do(flow.release)
    refs, name = light.origin / ".git" / "refs", slug("locked")
    for left in (f"heads/runs/{name}.lock", f"tags/runs/{name}.lock", f"tags/released/{name}.lock"):
        (refs / left).parent.mkdir(parents=True, exist_ok=True)
        (refs / left).write_text("")
    finish(light, flow, tmp_path / "undisturbed")
    assert not list(refs.rglob("*.lock"))


def test_a_cut_rwlock_and_locks_of_the_dead_are_mended(light, project, tmp_path: Path) -> None:
    flow = Flow(project, "locks", SLOW)
    flow.do(flow.prepare)
    workspace = Workspace(project, "locks")
    folder = workspace.path / ".dvc" / "tmp"
    folder.mkdir(exist_ok=True)
    (folder / "rwlock").write_text('{"write": {"')
    (folder / "lock").write_text("  99999999\n")
    git_folder = Path(git(workspace.path, "rev-parse", "--path-format=absolute", "--git-dir"))
    (git_folder / "index.lock").write_text("")
    flow.do(flow.stages["ingest"], tries=1)
    (folder / "rwlock").write_text(
        json.dumps({"write": {str(workspace.path / "data"): {"pid": 2**22 + 9, "cmd": "dvc"}}})
    )
    (light.home / "runs" / "clone" / ".git" / "packed-refs.lock").write_text("")
    flow.do(flow.stages["gate"], tries=1)
    finish(light, flow, tmp_path / "undisturbed")


def test_a_lock_file_cut_by_a_kill_is_taken_back_from_the_last_commit(light, project, tmp_path: Path) -> None:
    flow = Flow(project, "cut", SLOW)
    flow.do(flow.prepare)
    flow.do(flow.stages["ingest"])
    workspace = Workspace(project, "cut")
    task = start(light, "cut", "gate")
    mark = workspace.mark("gate")
    command_of(mark)
    for pid in (task.pid, *marked(mark)):
        os.kill(pid, signal.SIGKILL)
    task.communicate()
    lock = workspace.path / "dvc.lock"
    lock.write_text(lock.read_text()[:120])  # DVC writes it in place
    flow.do(flow.stages["gate"], tries=1)
    finish(light, flow, tmp_path / "undisturbed")


def test_a_missing_workspace_comes_back(light, project, tmp_path: Path) -> None:
    flow = Flow(project, "missing", SLOW)
    flow.do(flow.prepare)
    flow.do(flow.stages["ingest"])
    shutil.rmtree(Workspace(project, "missing").path)
    flow.do(flow.stages["gate"], tries=1)
    shutil.rmtree(light.home / "runs" / "tasks")
    finish(light, flow, tmp_path / "undisturbed")


def test_inputs_that_are_nowhere_stop_a_stage_with_a_clear_message(light, project) -> None:
    flow = Flow(project, "lost", SLOW)
    flow.do(flow.prepare)
    flow.do(flow.stages["ingest"])
    workspace = Workspace(project, "lost")
    shutil.rmtree(light.home / "dvc-cache")
    (workspace.path / "data" / "ingest" / "rows.txt").unlink()
    with pytest.raises(Exception, match=r"rows\.txt|ingest"):
        flow.do(flow.stages["split@en"], tries=1)
    assert flow.do(flow.stages["ingest"])["outcome"] == "ran"
    assert flow.do(flow.stages["split@en"])["outcome"] == "ran"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_disk_is_said_and_the_next_try_goes_on(light, project, tmp_path: Path) -> None:
    home = tmp_path / "small"
    home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(home)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no mount here: {mounted.stderr.decode().strip()}")
    try:
        from dataclasses import replace

        flow = Flow(replace(project, home=home, exported={"LIGHT_HOME": str(home)}), "full", SLOW)
        flow.do(flow.prepare)
        ballast = home / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64k"], capture_output=True)
        with pytest.raises((AirflowException, OSError, RuntimeError), match=r"(?i)space|disk"):
            flow.do(flow.stages["ingest"], tries=1)
        ballast.unlink()
        assert flow.do(flow.stages["ingest"])["outcome"] == "ran"
        flow.do_stages()
        flow.do(flow.release)
        assert flow.do(flow.record)["tag"] == f"runs/{slug('full')}"
    finally:
        subprocess.run(["umount", "--lazy", str(home)], check=True)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_eight_runs_at_once_over_twenty_rounds(light, project) -> None:
    for turn in range(20):
        runs = [start(light, f"r{turn}-{number}", LIGHT_SEED=str(number)) for number in range(8)]
        for process in runs:
            said, _ = process.communicate()
            assert process.returncode == 0, said[-3000:]
            assert "TRY AGAIN" not in said, said[-3000:]
    assert len([name for name in light.tags() if name.startswith("runs/")]) == 160
    for tag in light.tags():
        lock = git(light.origin, "show", f"{tag}:dvc.lock")
        assert lock.count("cmd:") == 10, f"{tag} has lost an entry"
    assert marked(f"{light.home}#", prefix=True) == []
