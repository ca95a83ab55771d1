"""The plan in the repository, errors of invalid plans, and the checkout that is made from a plan."""

import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from pipelines.live.loop.checkout import checkout_environment, commit, make_checkout
from pipelines.live.loop.params import read_plan
from pipelines.live.loop.training import reason_of
from pipelines.runtime.errors import InputError, ParamsError
from pipelines.runtime.overrides import edit_file
from pipelines.runtime.params import Parameters
from pipelines.runtime.sections import section_models

ROOT = Path(__file__).resolve().parents[4]
PLAN = ROOT / "examples" / "loop.yaml"


def test_the_plan_has_enough_weeks_for_a_rank_test():
    scenario = read_plan(PLAN).scenario
    assert (scenario.live_from - scenario.trained_from).days >= 26 * 7
    weeks = scenario.weeks()
    assert weeks[0][0] == scenario.live_from
    assert all(end - start == timedelta(days=7) for start, end in weeks)


@pytest.mark.parametrize(
    ("parameter", "value", "named"),
    [
        ("live_from", "2026-01-06", "live_from"),
        ("drift_from", "2026-01-05", "drift_from"),
        ("max_weeks", 2, "max_weeks"),
        ("unknown", 1, "unknown"),
    ],
)
def test_an_invalid_plan_names_the_parameter(tmp_path, parameter, value, named):
    plan = yaml.safe_load(PLAN.read_text())
    plan["scenario"][parameter] = value
    (tmp_path / "loop.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(ParamsError, match=named):
        read_plan(tmp_path / "loop.yaml")


def sections() -> list[tuple[str, type]]:
    """Every section of params.yaml that has a model of its own."""
    return list(section_models().items())


def covers(found, override: object) -> bool:
    """Return whether a loaded parameter has the overridden values; sections may hold more."""
    if isinstance(override, dict):
        return all(
            covers(found[key] if isinstance(found, dict) else getattr(found, key), override[key]) for key in override
        )
    return found == override or str(found) == str(override)


@pytest.mark.parametrize(("name", "model"), sections())
def test_the_overrides_of_the_plan_are_valid_parameters_of_each_section(tmp_path, name, model):
    plan = read_plan(PLAN)
    domain = tmp_path / plan.params["domain"]
    domain.mkdir(parents=True)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (domain / "params.yaml").write_bytes((ROOT / plan.params["domain"] / "params.yaml").read_bytes())
    edit_file(tmp_path / "params.yaml", plan.params)
    edit_file(domain / "params.yaml", plan.domain)
    found = Parameters.read(tmp_path).load(name, model)
    assert isinstance(found, model)
    for parameter, value in plan.params.get(name, {}).items():
        assert covers(getattr(found, parameter), value), parameter


def test_a_failed_training_shows_its_cause_and_not_the_summary_after_it():
    lines = [
        "Running stage 'evaluate':",
        "evaluate: params.yaml is wrong",
        "ERROR: failed to reproduce",
        *"abcdefghijk",
    ]
    assert reason_of(lines) == lines[:3]
    assert reason_of(list("abc")) == list("abc")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_a_checkout_holds_the_working_tree_and_leaves_the_original_alone(tmp_path):
    source, target, state = tmp_path / "source", tmp_path / "loop" / "checkout", tmp_path / "loop" / "home"
    scripts = ("scripts/prepare_checkout.sh", "scripts/hide_run_files.sh")
    for name in ("params.yaml", *scripts, "pipelines/domains/complaints/params.yaml"):
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
