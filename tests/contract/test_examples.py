"""The parameter files to run with hold parameters that exist, with values that are allowed."""

import shutil
from pathlib import Path

import pytest
import yaml

from pipelines.runtime.overrides import edit_file, read_overrides
from pipelines.runtime.params import Parameters, overlay, read_yaml
from pipelines.runtime.sections import check_sections
from pipelines.stages.finetune.params import FinetuneParams

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = [file for file in sorted((ROOT / "examples").glob("*.yaml")) if file.stem != "loop"]
FILES = [file for file in OVERLAYS if "finetune" in yaml.safe_load(file.read_text())]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_parameters_of_fine_tuning_are_taken(file, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    changes = yaml.safe_load(file.read_text())
    edit_file(tmp_path / "params.yaml", changes)
    params = Parameters.of(read_yaml(tmp_path / "params.yaml"), root=ROOT).load("finetune", FinetuneParams)
    for name, value in changes["finetune"].items():
        assert getattr(params, name) == value
    for name, value in changes.get("base_model", {}).items():
        assert getattr(params.base_model, name) == value


@pytest.mark.parametrize("file", OVERLAYS, ids=lambda file: file.stem)
def test_every_section_is_right_with_it(file):
    check_sections(overlay(read_yaml(ROOT / "params.yaml"), read_overrides(file)), root=ROOT, environment={})


def test_there_is_one_for_a_gpu():
    assert ROOT / "examples" / "gpu.yaml" in FILES
