"""The files of examples/ that name a source override params.yaml and give parameters that ingest accepts."""

from __future__ import annotations

import shutil

import pytest

from pipelines.runtime.overrides import edit_file, read_overrides
from pipelines.runtime.params import Parameters
from pipelines.stages.ingest.params import IngestParams
from tests.factories.checkout import ROOT

EXAMPLES = [ROOT / "examples" / f"{name}.yaml" for name in ("cfpb_complaints", "cfpb_api", "sql")]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_its_parameters_are_taken(example, tmp_path) -> None:
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    shutil.copytree(ROOT / "pipelines/domains/complaints", tmp_path / "pipelines/domains/complaints")
    moved = edit_file(tmp_path / "params.yaml", read_overrides(example))
    assert any(line.startswith("ingest.source") for line in moved)
    params = Parameters.read(tmp_path).load("ingest", IngestParams)
    assert params.source == read_overrides(example)["ingest"]["source"]
