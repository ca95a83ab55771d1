"""The lock file: order, damage, and whether it tells the truth about the disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from orchestration import lockfile
from orchestration.process import MARK

A = "  a:\n    cmd: one\n    outs:\n    - path: a.txt\n      md5: x\n"
B = "  b@en:\n    cmd: two words \n      and a line\n    outs:\n    - path: b.txt\n      md5: y\n"
C = "  'c:d':\n    cmd: |\n      x\n\n      y\n"
HEAD = "schema: '2.0'\nstages:\n"


def test_stages_stand_where_one_repro_puts_them() -> None:
    order = ["a", "b@en", "c:d"]
    assert lockfile.in_order(HEAD + C + B + A, order=order, before=None) == HEAD + A + B + C
    assert lockfile.in_order(HEAD + C + A + B, order=order, before=HEAD + B + C) == HEAD + B + C + A
    assert lockfile.in_order(HEAD + A + B + C, order=order, before=None) == HEAD + A + B + C


def test_what_cannot_be_taken_apart_stays() -> None:
    for text in ("", "nonsense: [", HEAD + A + "  {b: 1}: {cmd: x}\n", HEAD + B.rstrip("\n")):
        assert lockfile.in_order(text, order=["a"], before=None) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no longer names"),
        (HEAD, "no stages"),
        (HEAD + B, "no longer names a"),
        (HEAD + A + "  b@en:\n    cmd: two\n", "b@en is cut short"),
        (HEAD + A + "  b@en:\n    outs: [{path: b.txt}]\n", "b@en is cut short"),
        (HEAD + A[:20] + "\x00{", "not YAML"),
    ],
)
def test_a_cut_lock_file_is_noticed(text: str, said: str) -> None:
    outs = {"a": {"a.txt"}, "b@en": {"b.txt"}}
    assert said in str(lockfile.damage(text, committed={"a": {}}, outs=outs))


def test_a_whole_lock_file_is_not_damaged() -> None:
    assert lockfile.damage(HEAD + A + B, committed={"a": {}}, outs={"a": {"a.txt"}, "b@en": {"b.txt"}}) is None


def test_a_stage_of_another_folder_has_its_own_lock_file() -> None:
    assert lockfile.address("train@en") == ("dvc.lock", "train@en")
    assert lockfile.address("sub/dvc.yaml:train") == ("sub/dvc.lock", "train")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    return tmp_path


def test_a_cut_rwlock_is_removed(workspace: Path) -> None:
    path = workspace / ".dvc" / "tmp" / "rwlock"
    path.write_text('{"write": {"/a": {"pid": 1')
    lockfile.mend_rwlock(workspace)
    assert not path.exists()


def test_entries_of_dead_zombie_and_foreign_processes_are_dropped(workspace: Path) -> None:
    path = workspace / ".dvc" / "tmp" / "rwlock"
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has asked for its status
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "dvc"])
    pids = {"dead": 2**22 + 1, "zombie": zombie.pid, "foreign": 1, "living": holder.pid}
    write = {f"/{name}": {"pid": pid, "cmd": "dvc repro"} for name, pid in pids.items()}
    read = {"/r": [{"pid": pid, "cmd": "dvc repro"} for pid in pids.values()]}
    path.write_text(json.dumps({"write": write, "read": read}))
    try:
        lockfile.mend_rwlock(workspace)
        kept = json.loads(path.read_text())
    finally:
        holder.kill()
        holder.wait()
        zombie.wait()
    assert set(kept["write"]) == {"/living"}
    assert [who["pid"] for who in kept["read"]["/r"]] == [holder.pid]


def test_empty_folders_of_the_run_cache_go_and_full_or_fresh_ones_stay(tmp_path: Path) -> None:
    folders = [tmp_path / "runs" / "ab" / name for name in ("empty", "full", "fresh")]
    for folder in folders:
        folder.mkdir(parents=True)
    (folders[1] / "entry").write_text("x")
    for folder in folders[:2]:
        os.utime(folder, (1, 1))
    lockfile.mend_run_cache(tmp_path)
    assert [folder.exists() for folder in folders] == [False, True, True]


def test_digests_are_dvcs_own(light, tmp_path: Path) -> None:
    folder = tmp_path / "tracked"
    for name in ("b.txt", "a/c.txt", "a-b.txt", "a/ü.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    target = light.origin / "tracked"
    folder.rename(target)
    light.tool("dvc", "add", "--quiet", "tracked", "params.yaml", check=False)
    said = (light.origin / "tracked.dvc").read_text()
    assert lockfile.digest(target) in said
    assert lockfile.digest(target / "b.txt")
    assert lockfile.digest(light.origin / "nothing") is None
    assert MARK
