"""The lock file: the order of its stages, and whether it agrees with the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from orchestration import lockfile

A = "  a:\n    cmd: one\n    outs:\n    - path: a.txt\n      md5: x\n"
B = "  b@en:\n    cmd: two words \n      and a line\n    outs:\n    - path: b.txt\n      md5: y\n"
C = "  'c:d':\n    cmd: |\n      x\n\n      y\n"
HEAD = "schema: '2.0'\nstages:\n"


def test_stages_are_in_the_order_of_one_repro() -> None:
    order = ["a", "b@en", "c:d"]
    assert lockfile.in_order(HEAD + C + B + A, order=order, before=None) == HEAD + A + B + C
    assert lockfile.in_order(HEAD + C + A + B, order=order, before=HEAD + B + C) == HEAD + B + C + A
    assert lockfile.in_order(HEAD + A + B + C, order=order, before=None) == HEAD + A + B + C


def test_a_text_that_cannot_be_split_is_unchanged() -> None:
    for text in ("", "nonsense: [", HEAD + A + "  {b: 1}: {cmd: x}\n", HEAD + B.rstrip("\n")):
        assert lockfile.in_order(text, order=["a"], before=None) == text


def test_a_lock_file_without_stages_is_empty_and_another_file_is_an_error() -> None:
    assert lockfile.parse("") == lockfile.parse("schema: '2.0'\n") == {}
    for text in ("nonsense: [", "- a", HEAD):
        with pytest.raises(ValueError):
            lockfile.parse(text)


def test_a_stage_of_another_folder_has_its_own_lock_file() -> None:
    assert lockfile.address("train@en") == ("dvc.lock", "train@en")
    assert lockfile.address("sub/dvc.yaml:train") == ("sub/dvc.lock", "train")


def test_empty_folders_of_the_run_cache_go_and_full_or_fresh_ones_stay(tmp_path: Path) -> None:
    folders = [tmp_path / "runs" / "ab" / name for name in ("empty", "full", "fresh")]
    for folder in folders:
        folder.mkdir(parents=True)
    (folders[1] / "entry").write_text("x")
    for folder in folders[:2]:
        os.utime(folder, (1, 1))
    lockfile.remove_empty_run_cache_folders(tmp_path)
    assert [folder.exists() for folder in folders] == [False, True, True]


def test_digests_are_dvcs_own(light, tmp_path: Path) -> None:
    folder = tmp_path / "tracked"
    for name in ("b.txt", "a/c.txt", "a-b.txt", "a/ü.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    target = light.origin / "tracked"
    folder.rename(target)
    light.tool("dvc", "add", "--quiet", "tracked", "params.yaml", check=False)
    recorded = (light.origin / "tracked.dvc").read_text()
    assert lockfile.digest(target) in recorded
    assert lockfile.digest(target / "b.txt")
    assert lockfile.digest(light.origin / "nothing") is None
