"""The separate checkout of the scenario: made from the working tree, which stays as it is."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipelines.live.loop.checkout import checkout_environment, commit, make_checkout
from pipelines.live.loop.params import read_plan
from pipelines.runtime.errors import InputError

ROOT = Path(__file__).resolve().parents[4]
PLAN = ROOT / "examples" / "loop.yaml"


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_a_checkout_holds_the_working_tree_and_leaves_the_original_alone(tmp_path):
    source, target, state = tmp_path / "source", tmp_path / "loop" / "checkout", tmp_path / "loop" / "home"
    scripts = [
        f"scripts/{name}" for name in ("prepare_checkout.sh", "hide_run_files.sh", "dvc_places.py", "state_root.py")
    ]
    modules = [f"pipelines/runtime/{name}.py" for name in ("state_root", "errors")]
    for name in ("params.yaml", *scripts, *modules, "pipelines/domains/complaints/params.yaml"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    (source / ".dvc").mkdir()
    (source / ".dvc" / "config").write_text("")
    (source / ".gitignore").write_text("/secret\n/.dvc/config.local\n")
    git(source, "init", "--quiet")
    git(source, "add", "--all")
    (source / "params.yaml").write_text((ROOT / "params.yaml").read_text() + "\n# not yet committed\n")
    (source / "secret").write_text("ignored")
    before = git(source, "status", "--porcelain")

    variables = checkout_environment(os.environ, state=state)
    make_checkout(source, target, environment=variables, plan=read_plan(PLAN))

    params = (target / "params.yaml").read_text()
    assert "# not yet committed" in params
    assert yaml.safe_load(params)["release"]["through_canary"] is True
    simulator = yaml.safe_load((target / "pipelines/domains/complaints/params.yaml").read_text())["simulator"]
    assert simulator["drift_date"] == "2026-01-26"
    assert not (target / "secret").exists()
    assert git(target, "status", "--porcelain") == ""
    assert str(state) in (target / ".dvc" / "config.local").read_text()

    (target / "model").write_text("left by a stage that failed: DVC does not know it yet")
    (target / "dvc.lock").write_text("stages: {}")
    commit(target, "later")
    assert git(target, "status", "--porcelain") == "?? model"
    assert git(source, "status", "--porcelain") == before


def test_a_folder_that_is_not_a_git_checkout_is_refused(tmp_path):
    with pytest.raises(InputError):
        make_checkout(tmp_path, tmp_path / "target", environment=os.environ, plan=read_plan(PLAN))


def test_the_scenario_never_sees_the_users_registry(tmp_path):
    variables = checkout_environment({"MLFLOW_TRACKING_URI": "http://shared.example"}, state=tmp_path)
    assert "MLFLOW_TRACKING_URI" not in variables
    assert variables["PERENNIAL_HOME"] == str(tmp_path)
