"""A checkout of its own for the scenario: the working tree as it stands, in a repository and a state root aside."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipelines.live.loop.params import Plan
from pipelines.live.release.job import lay_over
from pipelines.runtime.errors import InputError, PerennialError
from pipelines.runtime.params import domain_path

WHO = ("-c", "user.name=perennial loop", "-c", "user.email=loop@localhost")


def make_checkout(source: Path, target: Path, *, state: Path, plan: Plan) -> None:
    """Copy what Git knows or would know of `source` to `target`, lay the plan over it, and commit that.

    The user's own branch, index, `data/` and state root are only read. A DVC cache of its own stands below `state`.
    """
    for name in _files(source):
        origin = source / name
        if origin.is_file() or origin.is_symlink():  # a file deleted but not yet committed is left out
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin, target / name, follow_symlinks=False)
    _git(target, "init", "--quiet", "--initial-branch", "main")
    # `release run` pins; a folder of that name keeps the set-up script from doing it twice.
    (target / "data" / "champion").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["bash", str(target / "scripts" / "prepare_checkout.sh")],
        env=environment(state),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise PerennialError(f"the scenario's checkout {target} could not be set up:\n{done.stderr.strip()}")
    lay_over(target, {name: value for name, value in plan.params.items() if name == "domain"})
    lay_over(target, {name: value for name, value in plan.params.items() if name != "domain"})
    drift_date = {"simulator": {"drift_date": plan.scenario.drift_from.isoformat()}}
    lay_over(domain_path(target), plan.domain)
    lay_over(domain_path(target), drift_date)
    _git(target, "add", "--all")
    commit(target, "The scenario begins")


def commit(checkout: Path, message: str) -> None:
    """Commit tracked files and the lock file, so that every version names the commit it was made at."""
    _git(checkout, "add", "--update")  # never all: an output that DVC does not know yet would become Git's
    if (checkout / "dvc.lock").exists():
        _git(checkout, "add", "dvc.lock")
    _git(checkout, *WHO, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", message)


def environment(state: Path) -> dict[str, str]:
    """The environment of everything that runs in the scenario: its own state root and registry, this Python first."""
    kept = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "GIT_DIR")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PERENNIAL_HOME": str(state), "PERENNIAL_ACTOR": "loop", "PATH": path, "DVC_NO_ANALYTICS": "1"}


def _files(source: Path) -> list[str]:
    command = ["git", "-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(command, capture_output=True, check=False)
    if answer.returncode:
        raise InputError(f"{source} is no Git checkout; the scenario copies what Git knows: run it in a clone")
    return sorted(set(os.fsdecode(answer.stdout).split("\0")) - {""})


def _git(folder: Path, *words: str) -> None:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PerennialError(f"git {words[0]} failed in {folder}: {done.stderr.strip()}")
