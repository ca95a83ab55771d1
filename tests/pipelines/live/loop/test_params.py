"""The plan in the repository, and errors of invalid plans."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from pipelines.live.loop.params import read_plan
from pipelines.runtime.errors import ParamsError
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
