"""One state root per project in every layout of Git, whatever program asks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.runtime.state_root import state_root

ROOT = Path(__file__).resolve().parents[3]
FILES = ("scripts/state_root.py", "pipelines/runtime/state_root.py", "pipelines/runtime/errors.py")


def git(folder, *words):
    settings = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", "-C", str(folder), *settings, *words], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path):
    """Return a function that makes a repository with the project in a subfolder."""

    def make(name, *, below="."):
        top = tmp_path / name
        for file in FILES:
            (top / below / file).parent.mkdir(parents=True, exist_ok=True)
            (top / below / file).write_text((ROOT / file).read_text())
        git(tmp_path, "init", "--quiet", name)
        git(top, "add", "--all")
        git(top, "commit", "--quiet", "--no-gpg-sign", "--message", "as it is")
        return top

    return make


def found(root):
    """The state root as the library finds it, after checking that set-up finds the same."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": "elsewhere", "GIT_DIR": "elsewhere"}
    command = [sys.executable, "scripts/state_root.py"]
    asked = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert asked.stdout == f"{state_root(root, {})}\n"
    return state_root(root, {})


def test_a_clone_and_a_folder_without_git_have_their_own(project, tmp_path):
    plain = project("plain")
    assert found(plain) == plain / ".perennial"
    (plain / ".git").rename(tmp_path / "elsewhere")
    assert found(plain) == plain / ".perennial"


def test_a_worktree_has_that_of_its_main_checkout(project, tmp_path):
    plain = project("plain")
    git(plain, "worktree", "add", "--quiet", str(tmp_path / "feature"))
    assert found(tmp_path / "feature") == plain / ".perennial"


def test_worktrees_of_a_bare_repository_share_one_next_to_it(project, tmp_path):
    plain = project("plain")
    for bare, expected in (("bare/.bare", "bare/.perennial"), ("served.git", "served.git.state/.perennial")):
        git(tmp_path, "clone", "--quiet", "--bare", str(plain), bare)
        for name in ("one", "two"):
            worktree = tmp_path / f"{name}-of-{Path(bare).name}"
            git(tmp_path / bare, "worktree", "add", "--quiet", "--detach", str(worktree))
            assert found(worktree) == tmp_path / expected


@pytest.mark.slow
def test_a_submodule_and_its_worktree_have_one_outside_of_git(project, tmp_path):
    plain = project("plain")
    git(tmp_path, "init", "--quiet", "company")
    git(tmp_path / "company", "submodule", "--quiet", "add", str(plain), "perennial")
    inside = tmp_path / "company" / "perennial"
    assert found(inside) == inside / ".perennial"
    git(inside, "worktree", "add", "--quiet", "--detach", str(tmp_path / "feature"))
    assert found(tmp_path / "feature") == inside / ".perennial"


def test_a_part_of_a_larger_repository_has_its_own_and_so_do_its_worktrees(project, tmp_path):
    whole = project("whole", below="ml/texts")
    assert found(whole / "ml" / "texts") == whole / "ml" / "texts" / ".perennial"
    git(whole, "worktree", "add", "--quiet", "--detach", str(tmp_path / "feature"))
    assert found(tmp_path / "feature" / "ml" / "texts") == whole / "ml" / "texts" / ".perennial"
