"""Every section of params.yaml has a model that takes it, with the domain of the repository and with those of tests."""

from pathlib import Path

import pytest
import yaml

from pipelines.runtime.params import Parameters
from pipelines.runtime.sections import SHARED, section_models

ROOT = Path(__file__).resolve().parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
SECTIONS = [name for name in PARAMS if name in SHARED or any((ROOT / "pipelines").glob(f"*/{name}/params.py"))]
MODELS = section_models()
DOMAINS = sorted(
    file.parent.relative_to(ROOT).as_posix()
    for folder in ("pipelines/domains", "tests/domains", "examples")
    for file in (ROOT / folder).glob("*/params.yaml")
    if (file.parent / "schema.py").is_file()
)


def test_every_section_finds_its_model():
    assert {*SECTIONS, "resources"} == set(MODELS)
    assert all((model.__doc__ or "").startswith(f"params.yaml: {name}.") for name, model in MODELS.items())


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_has_every_section(domain):
    theirs = yaml.safe_load((ROOT / domain / "params.yaml").read_text())
    assert set(SECTIONS) <= set(theirs)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_section_is_what_its_model_takes(section):
    parameters, model = Parameters.read(ROOT), MODELS[section]
    assert isinstance(parameters.load(section, model), model)
    stated = {*parameters.section(section), *model.shared}
    assert stated == set(model.model_fields), "a value that no file states, or a parameter that nobody reads"
