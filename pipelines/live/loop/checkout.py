"""A separate checkout for the scenario: a copy of the working tree with its own repository and state root."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.live.loop.params import Plan
from pipelines.runtime.errors import InputError, PerennialError
from pipelines.runtime.overrides import edit_file, set_parameters
from pipelines.runtime.params import PARAMS_FILE, Parameters
from pipelines.runtime.programs import git

AUTHOR = ("-c", "user.name=perennial loop", "-c", "user.email=loop@localhost")


def make_checkout(source: Path, target: Path, *, environment: Mapping[str, str], plan: Plan) -> None:
    """Copy the tracked and untracked, not ignored files of `source` to `target`, apply the plan's overrides, commit.

    The user's own branch, index, `data/` and state root are only read. The DVC cache is below the scenario's state
    root. Raises InputError when `source` is not a Git checkout.
    """
    for name in _files(source):
        origin = source / name
        if origin.is_file() or origin.is_symlink():  # a file deleted but not yet committed is left out
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin, target / name, follow_symlinks=False)
    _git(target, "init", "--quiet", "--initial-branch", "main")
    # `run` pins a champion; a folder of that name keeps the set-up script from doing it twice.
    (target / "data" / "champion").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["bash", str(target / "scripts" / "prepare_checkout.sh")],
        env=dict(environment),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise PerennialError(f"set-up of the scenario's checkout {target} failed:\n{done.stderr.strip()}")
    set_parameters(target, plan.params, environment=environment)
    domain_params = Parameters.read(target).domain_folder / PARAMS_FILE
    edit_file(domain_params, plan.domain)
    edit_file(domain_params, {"simulator": {"drift_date": plan.scenario.drift_from.isoformat()}})
    _git(target, "add", "--all")
    commit(target, "Start of the scenario")


def commit(checkout: Path, message: str) -> None:
    """Commit tracked files and the lock file, so that every version names the commit that it was made from."""
    _git(checkout, "add", "--update")  # not `--all`: it would add outputs that DVC does not track yet
    if (checkout / "dvc.lock").exists():
        _git(checkout, "add", "dvc.lock")
    _git(checkout, *AUTHOR, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", message)


def checkout_environment(variables: Mapping[str, str], *, state: Path) -> dict[str, str]:
    """Return the environment of the scenario's processes: own state root and registry, this Python first on the path."""
    kept = {name: value for name, value in variables.items() if name not in ("MLFLOW_TRACKING_URI", "GIT_DIR")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PERENNIAL_HOME": str(state), "PERENNIAL_ACTOR": "loop", "PATH": path, "DVC_NO_ANALYTICS": "1"}


def _files(source: Path) -> list[str]:
    answer = git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if answer.returncode:
        raise InputError(f"{source} is not a Git checkout: run the loop in a clone, it copies what Git tracks")
    return sorted(set(answer.stdout.split("\0")) - {""})


def _git(folder: Path, *words: str) -> None:
    done = git(folder, *words)
    if done.returncode:
        raise PerennialError(f"git {words[0]} failed in {folder}: {done.stderr.strip()}")
