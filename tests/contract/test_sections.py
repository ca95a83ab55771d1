"""Every section of params.yaml has a model that takes it, with the domain of the repository and with those of tests."""

import re
from pathlib import Path

import pytest
import yaml

from pipelines.runtime.params import Parameters, StageParams
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


def fields(model, name: str):
    """Yield dotted name and field of every parameter of a model, those of its inner sections too."""
    for key, field in model.model_fields.items():
        if key in model.shared:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, StageParams):
            assert field.annotation.__doc__, f"{name}.{key}"
            yield from fields(field.annotation, f"{name}.{key}")
        else:
            yield f"{name}.{key}", field


FIELDS = {key: field for name, model in MODELS.items() for key, field in fields(model, name)}


def values(content, prefix=""):
    """Yield the dotted name of every value that a params.yaml states."""
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@pytest.mark.parametrize("name", FIELDS)
def test_a_parameter_has_a_description_and_a_limit_is_min_or_max(name):
    assert FIELDS[name].description
    last = name.rsplit(".", 1)[-1]
    assert not re.search(r"_at_(least|most)|(^|_)(most|least|largest|smallest|fewest)_|_(below|above)$", last)


def test_the_file_states_what_users_change_and_the_models_state_the_rest():
    stated = set(values(PARAMS))
    assert len(stated) <= 110
    repeated = [name for name in stated if name in FIELDS and not FIELDS[name].is_required()]
    assert not repeated, "a number that params.yaml and a model's default both state"
    required = {name for name, field in FIELDS.items() if field.is_required()}
    theirs = set(values(yaml.safe_load((ROOT / PARAMS["domain"] / "params.yaml").read_text())))
    assert required <= stated | theirs | {"resources"}


def test_every_value_has_a_comment():
    lines = [line for line in (ROOT / "params.yaml").read_text().splitlines() if re.match(r"\s*\w+: \S", line)]
    assert [line for line in lines if " # " not in line] == []
