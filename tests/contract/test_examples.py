"""The parameter files to run with hold knobs that exist, with values that are allowed."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = [file for file in sorted((ROOT / "examples").glob("*.yaml")) if "finetune" in yaml.safe_load(file.read_text())]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_knobs_of_fine_tuning_are_taken(file):
    from pipelines.core.params import section
    from pipelines.finetune.params import FinetuneParams

    laid_over = {**section("finetune"), **yaml.safe_load(file.read_text())["finetune"]}
    FinetuneParams.model_validate(laid_over)


def test_there_is_one_for_a_gpu():
    assert ROOT / "examples" / "gpu.yaml" in FILES
