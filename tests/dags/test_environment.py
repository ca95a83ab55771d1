"""Child processes get a stated environment, and git does not depend on the settings of a user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from flow import Flow
from orchestration.clone import Clone
from orchestration.environment import STATED, clean
from orchestration.git import git, refs_of
from orchestration.project import Project

HOSTILE = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://company/airflow",
    "AIRFLOW_HOME": "/company",
    "AIRFLOW_CONFIG": "/company/airflow.cfg",
    "PYTHONPATH": "/elsewhere",
    "PYTHONHOME": "/elsewhere",
    "PYTHONWARNINGS": "error",
    "PYTHONSAFEPATH": "1",
    "VIRTUAL_ENV": "/elsewhere",
    "LANG": "tr_TR.ISO-8859-9",
    "LC_NUMERIC": "de_DE.UTF-8",
    "TZ": "Asia/Kathmandu",
    "BASH_ENV": "/elsewhere/rc",
    "GIT_DIR": "/elsewhere/.git",
    "GIT_TEMPLATE_DIR": "/elsewhere",
    "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z",
    "GIT_DEFAULT_HASH": "sha256",
}
SITE = {
    "GIT_SSH_COMMAND": "ssh -i key",
    "GIT_CONFIG_GLOBAL": "/site/gitconfig",
    "HOME": "/home/ana",
    "PERENNIAL_X": "1",
}


def test_settings_of_the_shell_are_removed_and_those_of_the_site_are_kept() -> None:
    given = {**HOSTILE, **SITE, "SHELL": "/usr/sbin/nologin"}
    made = clean(given)
    assert not (set(HOSTILE) - set(STATED)) & set(made)
    assert SITE.items() <= made.items()
    assert STATED.items() <= made.items()


@pytest.mark.parametrize("given", [{}, {"no_proxy": ".company.com, 127.0.0.1"}, {"NO_PROXY": ".company.com"}])
def test_the_loopback_interface_is_never_asked_through_a_proxy(given: dict[str, str]) -> None:
    made = clean({"http_proxy": "http://proxy:3128", **given})
    assert made["no_proxy"] == made["NO_PROXY"]
    parts = made["no_proxy"].split(",")
    assert {"localhost", "127.0.0.1", "::1"} <= set(parts) and len(parts) == len(set(parts))
    assert (".company.com" in parts) == bool(given)


CONFIG = """
[commit]
    gpgSign = true
    cleanup = verbatim
[tag]
    gpgSign = true
    forceSignAnnotated = true
[push]
    gpgSign = true
[user]
    signingKey = missing
    useConfigOnly = true
[core]
    hooksPath = {hooks}
    fsmonitor = {hooks}/pre-commit
    attributesFile = {hooks}/attributes
    autocrlf = true
    eol = crlf
    editor = false
[init]
    templateDir = {hooks}
    defaultBranch = trunk
[clone]
    defaultRemoteName = upstream
[safe]
    bareRepository = explicit
[grep]
    patternType = fixed
[log]
    showSignature = true
[color]
    ui = always
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's configuration that signs, hooks, converts and renames; returns its folder."""
    hooks = tmp_path / "person" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("pre-commit", "commit-msg", "post-checkout", "pre-push", "reference-transaction"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    (hooks / "attributes").write_text("* text eol=crlf\n")
    (hooks / "config").write_text("[core]\n\tworktree = /elsewhere\n")
    (tmp_path / "person" / ".gitconfig").write_text(CONFIG.format(hooks=hooks))
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    for name, value in HOSTILE.items():
        if name.startswith(("GIT_", "LANG", "LC_", "TZ")):
            monkeypatch.setenv(name, value)
    return tmp_path / "person"


def test_git_works_the_same_with_hostile_settings(hostile: Path, tmp_path: Path) -> None:
    bare, work = tmp_path / "bare.git", tmp_path / "work"
    git(tmp_path, "init", "--quiet", "--bare", str(bare))
    git(tmp_path, "clone", "--quiet", str(bare), str(work))
    (work / "a[1].txt").write_bytes(b"one\ntwo\n")
    (work / "a1.txt").write_bytes(b"other\n")
    git(work, "add", "--", "a[1].txt")
    git(work, "commit", "--quiet", "--message", "subject\n\nRun-Prepared: x")
    head = git(work, "rev-parse", "HEAD")
    git(work, "tag", "runs/x.1", head)
    project = Project(root=work, home=tmp_path, origin=str(bare), tools=tmp_path, dvc_remote="r")
    Clone(project).push(work, "HEAD:refs/heads/main", "refs/tags/runs/x.1", keep=[])
    assert set(refs_of(work, "origin").values()) == {head}
    assert git(bare, "rev-parse", "main") == head
    assert git(work, "ls-tree", "--name-only", "HEAD") == "a[1].txt", "a name is never a pattern"
    assert git(work, "log", "-1", "--grep=^Run-Prepared: x$", "--format=%an %b") == "orchestration Run-Prepared: x"
    assert not git(work, "log", "-1", "--format=%cI").startswith("2001")
    git(tmp_path, "clone", "--quiet", "--branch=main", str(bare), str(tmp_path / "again"))
    assert (tmp_path / "again" / "a[1].txt").read_bytes() == b"one\ntwo\n"


@pytest.mark.slow
def test_a_run_is_recorded_with_hostile_settings_and_a_strict_umask(light, project, hostile: Path) -> None:
    flow = Flow(project, "hostile")
    before = os.umask(0o077)
    try:
        flow.do(flow.prepare)
        flow.do(flow.stages["ingest"])
        made = flow.do(flow.record)
    finally:
        os.umask(before)
    recorded = refs_of(light.origin, ".")
    assert recorded[f"refs/tags/{made['tag']}"] == recorded[f"refs/heads/{made['branch']}"] == made["revision"]
    assert made["tag"] != made["branch"], "`git checkout` must not have to choose"
