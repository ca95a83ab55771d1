"""Git does what the pipeline asks for, whatever its user has set; a folder without history is refused."""

import pytest

from pipelines.runtime.errors import InputError
from pipelines.runtime.programs import git, require_history

HOSTILE = """
[commit]
    gpgSign = true
[tag]
    gpgSign = true
[gpg]
    program = false
[core]
    hooksPath = {folder}/hooks
    excludesFile = {folder}/ignored
    autocrlf = true
    editor = false
[init]
    templateDir = {folder}/template
    defaultBranch = trunk
[color]
    ui = always
[status]
    short = true
    branch = true
"""
AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@localhost")


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """The settings of a person whose commits are signed, checked and formatted."""
    settings = tmp_path / "settings"
    for name in ("hooks/pre-commit", "template/hooks/pre-commit"):
        (settings / name).parent.mkdir(parents=True)
        (settings / name).write_text("#!/bin/sh\nexit 1\n")
        (settings / name).chmod(0o755)
    (settings / "ignored").write_text("*.yaml\n")
    (settings / ".gitconfig").write_text(HOSTILE.format(folder=settings))
    monkeypatch.setenv("HOME", str(settings))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "of-a-hook"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "of-a-hook" / "index"))
    for name in ("GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_commits_and_tags_are_made_and_hold_every_file(hostile, tmp_path):
    folder = tmp_path / "Büro, [x]"
    folder.mkdir()
    (folder / "dvc.yaml").write_bytes(b"a: 1\r\n")
    (folder / "名前").write_text("x")
    steps = [("init", "--quiet"), ("add", "--all"), (*AUTHOR, "commit", "--quiet", "-m", "x"), ("tag", "t")]
    assert [git(folder, *words).returncode for words in steps] == [0] * 4
    assert git(folder, "ls-files", "-z").stdout.split("\0") == ["dvc.yaml", "名前", ""]
    assert git(folder, "status", "--porcelain").stdout == ""
    require_history(folder)


def test_a_folder_that_git_does_not_know_is_refused(hostile, tmp_path):
    unknown = tmp_path / "unzipped"
    unknown.mkdir()
    (unknown / "dvc.yaml").write_text("a: 1\n")
    with pytest.raises(InputError):
        require_history(unknown)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, *AUTHOR, "commit", "--quiet", "--allow-empty", "-m", "a repository of something else around it")
    with pytest.raises(InputError):
        require_history(unknown)
