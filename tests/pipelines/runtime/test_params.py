"""Parameters: params.yaml over the domain's, frozen models, errors that say what would be right."""

from pathlib import Path

import pytest
from pydantic import Field

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.params import StageParams, domain_path, load_params, overlay


class Parameters(StageParams):
    threshold: float = Field(gt=0, le=1)
    name: str


def write(root: Path, ours: str, theirs: str) -> Path:
    folder = root / "problem"
    folder.mkdir(exist_ok=True)
    (root / "params.yaml").write_text(f"domain: problem\n{ours}", encoding="utf-8")
    (folder / "params.yaml").write_text(theirs, encoding="utf-8")
    return root


def test_null_means_as_the_domain_says_and_a_value_wins(tmp_path):
    root = write(tmp_path, "dedupe: {threshold: null, name: ours}\n", "dedupe: {threshold: 0.5, name: theirs}\n")
    assert load_params("dedupe", Parameters, root) == Parameters(threshold=0.5, name="ours")


def test_out_of_range_names_file_parameter_value_and_limit(tmp_path):
    root = write(tmp_path, "dedupe: {threshold: 1.4, name: a}\n", "dedupe: {}\n")
    with pytest.raises(ParamsError) as error:
        load_params("dedupe", Parameters, root)
    assert str(error.value) == (
        "params.yaml is wrong:\n  dedupe.threshold = 1.4: Input should be less than or equal to 1"
    )


def test_unknown_parameter_is_refused_with_the_known_ones(tmp_path):
    root = write(tmp_path, "dedupe: {threshold: 1, name: a, treshold: 2}\n", "dedupe: {}\n")
    with pytest.raises(ParamsError, match=r"dedupe\.treshold is unknown; there are: threshold, name"):
        load_params("dedupe", Parameters, root)


def test_missing_parameter_is_named(tmp_path):
    root = write(tmp_path, "dedupe: {threshold: 1}\n", "dedupe: {}\n")
    with pytest.raises(ParamsError, match=r"dedupe\.name is missing"):
        load_params("dedupe", Parameters, root)


@pytest.mark.parametrize(
    ("ours", "said"),
    [("dedupe: 3\n", "a mapping of parameters"), ("dedupe: [\n", "not readable as YAML")],
)
def test_a_broken_file_is_named(tmp_path, ours, said):
    root = write(tmp_path, ours, "dedupe: {}\n")
    with pytest.raises(ParamsError, match=said):
        load_params("dedupe", Parameters, root)


def test_a_domain_that_is_not_there_is_named(tmp_path):
    (tmp_path / "params.yaml").write_text("domain: nowhere\n", encoding="utf-8")
    with pytest.raises(ParamsError, match="domain = 'nowhere'"):
        domain_path(tmp_path)


def test_params_file_that_is_missing_says_where_to_run(tmp_path):
    with pytest.raises(ParamsError, match="run from the repository root"):
        domain_path(tmp_path)


def test_overlay_goes_key_by_key():
    assert overlay({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "b": None, "c": None}) == {
        "a": {"x": 1, "y": 3},
        "b": 1,
        "c": None,
    }
