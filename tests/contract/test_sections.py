"""Every section of params.yaml has a model that takes it, with the domain of the repository and with those of tests."""

import importlib
import inspect
from pathlib import Path

import pytest
import yaml

from pipelines.core.params import StageParams, overlay

ROOT = Path(__file__).resolve().parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
SECTIONS = [name for name in PARAMS if (ROOT / "pipelines" / name / "params.py").is_file()]
DOMAINS = sorted(
    file.parent.relative_to(ROOT).as_posix()
    for folder in ("pipelines/domains", "tests/domains", "examples")
    for file in (ROOT / folder).glob("*/params.yaml")
    if (file.parent / "schema.py").is_file()
)


def model_of(section):
    """The model whose docstring names the section."""
    module = importlib.import_module(f"pipelines.{section}.params")
    models = [item for _, item in inspect.getmembers(module, inspect.isclass) if issubclass(item, StageParams)]
    [model] = [
        item
        for item in models
        if (item.__doc__ or "").startswith(f"params.yaml: {section}.") and item.__doc__.count(".") == 2
    ]
    return model


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_has_every_section(domain):
    theirs = yaml.safe_load((ROOT / domain / "params.yaml").read_text())
    assert set(SECTIONS) <= set(theirs)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_section_is_what_its_model_takes(section):
    theirs = yaml.safe_load((ROOT / PARAMS["domain"] / "params.yaml").read_text())
    stated = overlay(theirs.get(section) or {}, PARAMS[section])
    taken = model_of(section).model_validate(stated)
    assert set(stated) == set(type(taken).model_fields), "a value that no file states, or a knob that nobody reads"
