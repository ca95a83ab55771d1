"""The programs that the pipeline calls, Git and DVC, whatever the settings of the user who runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines.runtime.errors import InputError

# What a person sets for their own work: signing asks for a passphrase, hooks and templates run programs of their own,
# ignored files and changed line ends make another commit of the same files.
STATED = {
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "core.hooksPath": os.devnull,
    "core.excludesFile": os.devnull,
    "core.autocrlf": "false",
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "init.templateDir": "",
}

OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


def git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Git in a folder and return its result, text decoded as the names of files are.

    Variables such as GIT_DIR, which Git sets for its hooks, name another repository and are left out.
    """
    settings = [word for name, value in STATED.items() for word in ("-c", f"{name}={value}")]
    return subprocess.run(
        ["git", *settings, "-C", str(folder), *words],
        env={name: value for name, value in os.environ.items() if not name.startswith(OF_HOOKS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding=sys.getfilesystemencoding(),
        errors="surrogateescape",
        check=False,
    )


def dvc(root: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run this environment's DVC in a checkout; its output is shown as it comes unless `options` capture it."""
    command = [str(Path(sys.executable).with_name("dvc")), "--cd", str(root), *words]
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, text=True, **options)


def require_history(root: Path) -> None:
    """Raise InputError when Git has no commit of the checkout: a downloaded archive, or a folder in another repository.

    DVC finds its files and a released version its origin by it.
    """
    answer = git(root, "cat-file", "-e", "HEAD:./dvc.yaml")
    if answer.returncode:
        raise InputError(
            f"{root}: Git has no commit of this folder ({answer.stderr.strip()}). Clone the repository, or start a "
            "history here: git init && git add --all && git commit --message 'As downloaded'"
        )
