"""Kills for real: after the retry the result is that of an undisturbed run; nothing is doubled or left behind."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException
from conftest import copy_of
from flow import Flow
from light_repository import LIGHT, LightRepository, git
from orchestration.clone import Clone
from orchestration.process import alive, marked
from orchestration.project import Project
from orchestration.workspace import Workspace, slug

pytestmark = [
    pytest.mark.slow,
    pytest.mark.chaos,
    pytest.mark.timeout(900),
    # A task that is killed on purpose leaves a child without a parent that waits for it; these tests are about that.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SLOW = {"overrides": {"pace": 0.6}}
STAGES = ["ingest", "split@en", "train@de-2", "gate", "merge", "promote"]


@pytest.fixture(autouse=True)
def _collected():
    """What a killed task leaves is collected here, and does not fail a later test."""
    yield
    gc.collect()


def start(light: LightRepository, run_id: str, *tasks: str, conf: dict = SLOW, **more: str) -> subprocess.Popen[str]:
    """A process that runs tasks of a run, as Airflow's task process would."""
    command = [sys.executable, str(LIGHT.parent / "flow.py"), run_id, json.dumps(conf), *tasks]
    return subprocess.Popen(
        command,
        env={**light.environment, **more},
        cwd=light.origin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def command_of(mark: str, *, seconds: float = 300) -> list[int]:
    """Processes of a task's command, leader first, once there are any."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := marked(mark):
            return sorted(found)
        time.sleep(0.01)
    raise TimeoutError(f"no process has the mark {mark}")


def wait_for(seen: Callable[[], bool], task: subprocess.Popen[str], *, seconds: float = 300) -> None:
    """Wait until a condition holds; a task that ends without it is an error."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if seen():
            return
        if task.poll() is not None and not seen():
            raise AssertionError(f"the task ended first: {task.communicate()[0]}")
        time.sleep(0.001)
    raise TimeoutError(f"not seen in {seconds} s")


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


UNDISTURBED: dict[tuple[str, ...], str] = {}  # lock file of an undisturbed run by its inputs: many tests share them
INPUTS = ("dvc.yaml", "params.yaml", "stage.py", "data/champion.json")


def expected_lock(light: LightRepository, tag: str, folder: Path) -> tuple[str, str]:
    """The recorded lock file, and that of an undisturbed `dvc repro` of the same inputs."""
    git(folder.parent, "clone", "--quiet", str(light.origin), str(folder))
    git(folder, "checkout", "--quiet", tag)
    recorded = (folder / "dvc.lock").read_text()
    inputs = tuple((folder / name).read_text() for name in INPUTS)
    if inputs not in UNDISTURBED:
        (folder / "dvc.lock").unlink()
        light.tool("dvc", "repro", folder=folder)
        UNDISTURBED[inputs] = (folder / "dvc.lock").read_text()
    return recorded, UNDISTURBED[inputs]


def finish(light: LightRepository, flow: Flow, folder: Path, *, left: int = 0) -> None:
    """Let the run come to its end and compare it with an undisturbed one."""
    flow.do_stages()
    flow.do(flow.release)
    end(light, flow, folder, left=left)


def end(light: LightRepository, flow: Flow, folder: Path, *, left: int = 0) -> None:
    """Record and clean up a run that is released, and compare it with an undisturbed one."""
    tag = flow.do(flow.record)["tag"]
    flow.do(flow.cleanup)
    assert marked(f"{light.home}#", prefix=True) == []
    recorded, undisturbed = expected_lock(light, tag, folder)
    assert recorded == undisturbed
    state = light.registry()
    assert len(state["versions"]) == state["champion"] == 1
    cache = light.home / "dvc-cache"
    assert len([path for path in (light.home / "runs" / "work").glob("*") if path.is_dir()]) == left
    for path in (cache / "files" / "md5").rglob("*"):
        if path.is_file() and "." not in path.name:
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            assert digest == path.parent.name + path.name, f"{path} is corrupt"


def test_killed_in_a_stage(light, project, tmp_path: Path) -> None:
    flow = Flow(project, "chaos", SLOW)
    flow.do(flow.prepare)
    victims = {"ingest": "dvc", "split@en": "command", "gate": "task", "merge": "all"}
    for stage in flow.stages:
        if stage in victims:
            task = start(light, "chaos", stage)
            mark = Workspace(project, "chaos", dag_id="flow").mark(stage)
            kill(victims[stage], task, mark, random.Random(stage).uniform(0.0, 0.9))
            flow.do(flow.stages[stage])  # the retry, at once: what the dead try left may still be writing
            output, _ = task.communicate()
            assert marked(mark) == [], output
        elif stage != "promote":
            flow.do(flow.stages[stage])
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
    mark = Workspace(project, "chaos", dag_id="flow").mark(stage)
    kill(victim, task, mark, random.Random(f"{stage}{victim}{turn}").uniform(0.0, 1.5))
    made = flow.do(flow.stages[stage])
    task.kill()
    output, _ = task.communicate()
    assert marked(mark) == [], output
    assert made["outcome"] in {"changed", "unchanged"}, output
    finish(light, flow, tmp_path / "undisturbed")


def half_made(light: LightRepository, workspace: Workspace) -> dict[str, Callable[[], bool]]:
    """Moments of a `prepare`, each as what can be seen on disk at its beginning."""
    clone = light.home / "runs" / "clone"
    return {
        "clone": lambda: clone.with_name("clone.partial").exists(),
        "fetch": lambda: clone.exists(),
        "worktree": lambda: (clone / ".git" / "worktrees" / workspace.slug).exists(),
        "files": lambda: (workspace.path / ".git").exists(),
        "graph": lambda: (workspace.path / ".dvc" / "config.local").exists(),
        "parameters": lambda: workspace.tree.exists,
        "pin": lambda: bool(marked(workspace.mark("prepare"))),
        "commit": lambda: workspace.tree.exists and "rows: 11" in (workspace.path / "params.yaml").read_text(),
    }


@pytest.mark.parametrize(
    "moments",
    [
        ("clone", "worktree", "pin"),
        pytest.param(("fetch", "files", "graph", "parameters", "commit"), marks=pytest.mark.long),
    ],
    ids=" ".join,
)
def test_killed_while_it_prepares(light, project, tmp_path: Path, moments: tuple[str, ...]) -> None:
    conf = {"overrides": {"ingest.rows": 11}}
    for number, moment in enumerate(moments):
        run = f"prepares-{moment}"
        workspace = Workspace(project, run, dag_id="flow")
        task = start(light, run, "prepare", conf=conf)
        wait_for(half_made(light, workspace)[moment], task)
        os.kill(task.pid, signal.SIGKILL) if number % 2 else os.killpg(task.pid, signal.SIGKILL)
        flow = Flow(project, run, conf)
        flow.do(flow.prepare, tries=1)
        task.communicate()
    folders = [Workspace(project, f"prepares-{moment}", dag_id="flow").path for moment in moments]
    assert len({git(folder, "rev-parse", "HEAD^{tree}") for folder in folders}) == 1
    assert {git(folder, "status", "--porcelain", "--untracked-files=no") for folder in folders} == {""}
    finish(light, flow, tmp_path / "undisturbed", left=len(moments) - 1)


def test_a_worktree_that_a_killed_git_left_half_made_and_locked_is_made_again(light, project) -> None:
    flow = Flow(project, "half")
    flow.do(flow.prepare)
    workspace = Workspace(project, "half", dag_id="flow")
    kept = light.home / "runs" / "clone" / ".git" / "worktrees" / workspace.slug
    (kept / "locked").write_text("initializing")
    (kept / "whole").unlink()
    (kept / "index.lock").write_text("")
    (light.home / "runs" / "clone" / ".git" / "refs" / "heads" / f"{workspace.branch}.lock").write_text("")
    (workspace.path / "dvc.yaml").unlink()
    assert flow.do(flow.stages["ingest"], tries=1)["outcome"] == "changed"


def test_tasks_that_miss_the_workspace_at_once_make_it_once(light, project) -> None:
    flow = Flow(project, "at-once", SLOW)
    flow.do(flow.prepare)
    flow.do(flow.stages["ingest"])
    shutil.rmtree(Workspace(project, "at-once", dag_id="flow").path)
    with ThreadPoolExecutor(3) as pool:
        made = [pool.submit(flow.do, flow.stages[name], 1) for name in ("split@en", "split@de", "gate")]
        assert {result.result()["outcome"] for result in made} == {"changed"}
    lock = git(Workspace(project, "at-once", dag_id="flow").path, "show", "HEAD:dvc.lock")
    assert lock.count("cmd:") == 4


def test_a_fetch_leaves_the_ref_lock_of_another_runs_commit_alone(light, project) -> None:
    flow = Flow(project, "first")
    flow.do(flow.prepare)
    refs = light.home / "runs" / "clone" / ".git" / "refs"
    at_work, dead = refs / "heads" / "runs" / "other-1.lock", refs / "remotes" / "origin" / "main.lock"
    for lock in (at_work, dead):
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text("")
    clone = Clone(project)
    with clone.locked() as held:
        clone.update(keep=[held])
    assert (at_work.exists(), dead.exists()) == (True, False)


def test_a_stage_that_outlives_its_task_is_ended_with_it(light, project) -> None:
    flow = Flow(project, "timed-out", {"overrides": {"pace": 30}})
    flow.do(flow.prepare)
    mark = Workspace(project, "timed-out", dag_id="flow").mark("ingest")
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(flow.do, flow.stages["ingest"], 1)
        while len(marked(mark)) < 2 and not made.done():  # dvc, and the stage below it
            time.sleep(0.02)
        flow.stages["ingest"].on_kill()  # what Airflow calls at a time limit, and when a person ends a task
        with pytest.raises(AirflowException, match="ingest: dvc ended with exit code"):
            made.result()
    assert marked(mark) == []


@pytest.fixture(scope="module")
def _done(_templates: LightRepository, tmp_path_factory: pytest.TempPathFactory):
    """A light repository with a run whose stages are all done; each test gets a copy in the same place."""
    folder = tmp_path_factory.mktemp("done")
    light = copy_of(_templates, folder / "light")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in light.environment.items():
            if name.startswith("LIGHT_"):
                patch.setenv(name, value)
        project = Project.from_environment("LIGHT", root=light.origin)
        flow = Flow(project, "done")
        flow.do(flow.prepare)
        flow.do_stages()
        light.folder.rename(folder / "kept")
        yield light, project, folder / "kept"


@pytest.fixture
def done(_done) -> tuple[LightRepository, Project]:
    """A run whose stages are all done: nothing is released or recorded yet."""
    light, project, kept = _done
    shutil.rmtree(light.folder, ignore_errors=True)
    shutil.copytree(kept, light.folder, symlinks=True)  # the same place, since worktrees name it
    return light, project


def test_killed_between_registration_and_alias_there_is_one_version(done) -> None:
    light, project = done
    flow = Flow(project, "done")
    task = start(light, "done", "release", LIGHT_RELEASE_STOPS="1")
    mark = Workspace(project, "done", dag_id="flow").mark("release")
    registry = light.home / "registry" / "registry.json"
    wait_for(lambda: registry.exists() and bool(json.loads(registry.read_text())["versions"]), task)
    assert json.loads(registry.read_text())["champion"] is None
    for pid in (task.pid, *marked(mark)):
        os.kill(pid, signal.SIGKILL)
    task.communicate()
    assert flow.do(flow.release)["version"] == 1
    assert (len(light.registry()["versions"]), light.registry()["champion"]) == (1, 1)


def recording(light: LightRepository, workspace: Workspace) -> dict[str, Callable[[], bool]]:
    """Moments of a `record`, each as what can be seen at its beginning."""
    refs = light.origin / ".git" / "refs"
    return {
        "start": lambda: bool(marked(workspace.mark("record"))),
        "branch": lambda: (refs / "heads" / workspace.branch).exists(),
        "tag": lambda: any((refs / "tags" / "runs").glob(f"{workspace.slug}.[0-9]")),
    }


@pytest.mark.parametrize("moment", ["start", "branch", "tag"])
def test_killed_while_record_pushes(done, tmp_path: Path, moment: str) -> None:
    light, project = done
    flow = Flow(project, "done")
    flow.do(flow.release)
    task = start(light, "done", "record", LIGHT_RESULTS=json.dumps({"release": flow.results["release"]}))
    workspace = Workspace(project, "done", dag_id="flow")
    mark = workspace.mark("record")
    wait_for(recording(light, workspace)[moment], task)
    os.killpg(task.pid, signal.SIGKILL)
    task.communicate()
    left = marked(mark)
    tags = light.tags()
    end(light, flow, tmp_path / "undisturbed")
    assert not any(alive(pid) for pid in left)
    if any(name.startswith("runs/") for name in tags):
        assert tags == light.tags(), "a run's tag is the last thing that is pushed"


def test_a_push_that_was_killed_leaves_no_lock_behind(done, tmp_path: Path) -> None:
    light, project = done
    flow = Flow(project, "done")
    flow.do(flow.release)
    refs, name = light.origin / ".git" / "refs", slug("done", "flow")
    for left in (f"heads/runs/{name}.lock", f"tags/runs/{name}.1.lock", f"tags/released/{name}.1.lock"):
        (refs / left).parent.mkdir(parents=True, exist_ok=True)
        (refs / left).write_text("")
    end(light, flow, tmp_path / "undisturbed")
    assert not list(refs.rglob("*.lock"))


def test_locks_of_dead_processes_do_not_block(light, project, tmp_path: Path) -> None:
    flow = Flow(project, "locks")
    flow.do(flow.prepare)
    workspace = Workspace(project, "locks", dag_id="flow")
    folder = workspace.path / ".dvc" / "tmp"
    folder.mkdir(exist_ok=True)
    (folder / "lock").write_text("  99999999\n")
    git_folder = Path(git(workspace.path, "rev-parse", "--path-format=absolute", "--git-dir"))
    (git_folder / "index.lock").write_text("")
    assert flow.do(flow.stages["ingest"], tries=1)["outcome"] == "changed"
    (folder / "rwlock").write_text(
        json.dumps({"write": {str(workspace.path / "data"): {"pid": 2**22 + 9, "cmd": "dvc"}}})
    )
    (light.home / "runs" / "clone" / ".git" / "packed-refs.lock").write_text("")
    assert flow.do(flow.stages["gate"], tries=1)["outcome"] == "changed"
    assert json.loads((folder / "rwlock").read_text() or "{}").get("write", {}) == {}
    assert not (git_folder / "index.lock").exists()
    finish(light, flow, tmp_path / "undisturbed")


def test_a_missing_workspace_comes_back(light, project, tmp_path: Path) -> None:
    flow = Flow(project, "missing")
    flow.do(flow.prepare)
    flow.do(flow.stages["ingest"])
    shutil.rmtree(Workspace(project, "missing", dag_id="flow").path)
    made = flow.do(flow.stages["gate"], tries=1)
    assert (made["outcome"], made["commit"]) == ("changed", Workspace(project, "missing", dag_id="flow").tree.head)
    shutil.rmtree(light.home / "runs" / "tasks")
    finish(light, flow, tmp_path / "undisturbed")


def test_inputs_that_are_nowhere_stop_a_stage_with_a_clear_message(light, project) -> None:
    flow = Flow(project, "lost")
    flow.do(flow.prepare)
    flow.do(flow.stages["ingest"])
    workspace = Workspace(project, "lost", dag_id="flow")
    shutil.rmtree(light.home / "dvc-cache")
    (workspace.path / "data" / "ingest" / "rows.txt").unlink()
    with pytest.raises(Exception, match=r"rows\.txt|ingest"):
        flow.do(flow.stages["split@en"], tries=1)
    assert flow.do(flow.stages["ingest"])["outcome"] == "unchanged", "computed again, with the same result"
    assert flow.do(flow.stages["split@en"])["outcome"] == "changed"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_disk_is_reported_and_the_next_try_continues(light, project, tmp_path: Path) -> None:
    home = tmp_path / "small"
    home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(home)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no mount here: {mounted.stderr.decode().strip()}")
    try:
        from dataclasses import replace

        flow = Flow(replace(project, home=home, exported={"LIGHT_HOME": str(home)}), "full")
        flow.do(flow.prepare)
        ballast = home / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=64k"], capture_output=True)
        with pytest.raises((AirflowException, OSError, RuntimeError), match=r"(?i)space|disk"):
            flow.do(flow.stages["ingest"], tries=1)
        ballast.unlink()
        assert flow.do(flow.stages["ingest"])["outcome"] == "changed"
        flow.do_stages()
        flow.do(flow.release)
        assert flow.do(flow.record)["tag"] == f"runs/{slug('full', 'flow')}.1"
    finally:
        subprocess.run(["umount", "--lazy", str(home)], check=True)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("rounds", [1, 20])
def test_eight_runs_at_once_over_and_over(light, project, rounds: int) -> None:
    for turn in range(rounds):
        confs = [{"overrides": {"ingest.seed": 8 * turn + number, "pace": 0.1}} for number in range(8)]
        runs = [start(light, f"r{turn}-{number}", conf=conf) for number, conf in enumerate(confs)]
        for process in runs:
            output, _ = process.communicate()
            assert process.returncode == 0, output[-3000:]
            assert "TRY AGAIN" not in output, output[-3000:]
    assert len([name for name in light.tags() if name.startswith("runs/")]) == 8 * rounds
    for tag in light.tags():
        lock = git(light.origin, "show", f"{tag}:dvc.lock")
        assert lock.count("cmd:") == 8, f"{tag} has lost an entry"
    assert marked(f"{light.home}#", prefix=True) == []
