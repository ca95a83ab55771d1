"""The whole of params.yaml, validated by every section's model at once: what is wrong, where, and what is accepted."""

import copy
from datetime import date
from pathlib import Path

import pytest

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.params import overlay, read_yaml
from pipelines.runtime.sections import check_sections

ROOT = Path(__file__).resolve().parents[3]
PARAMS = read_yaml(ROOT / "params.yaml")


def refused(content, **more) -> list[str]:
    with pytest.raises(ParamsError) as error:
        check_sections(content, root=ROOT, **{"environment": {}, **more})
    assert error.value.exit_code == 64
    return str(error.value).splitlines()


def test_the_repositorys_own_file_is_right():
    check_sections(PARAMS, root=ROOT, environment={})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"promote": {"margin": 1.5}}, "invalid promote.margin = 1.5: expected less than 1"),
        ({"promote": {"resamples": "many"}}, "invalid promote.resamples = 'many': expected a valid integer"),
        ({"promote": {"margn": 0.1}}, "unknown parameter promote.margn: did you mean margin?"),
        ({"promote": {"slices": {"rows": 1}}}, "unknown parameter promote.slices.rows: did you mean min_rows?"),
        ({"serve": {"canary": {"shar": 1}}}, "unknown parameter serve.canary.shar: did you mean share?"),
        ({"resources": {"threads": "two"}}, "invalid resources.threads = 'two': expected a valid integer"),
        ({"drift": 3}, "params.yaml: invalid drift = 3: expected a mapping of parameters"),
        ({"promot": {"margin": 0.1}}, "params.yaml: unknown section 'promot': did you mean promote?"),
        ({"simulator": {"rows_a_day": 3}}, "unknown parameter simulator.rows_a_day: did you mean rows_per_day?"),
        ({"ingest": {"start": date(2023, 3, 1)}}, "invalid ingest.start = 2023-03-01: expected quotes"),
        ({"resources": {"threads": 0}}, "invalid resources.threads = 0: expected greater than or equal to 1"),
        ({"simulator": [3]}, "params.yaml: invalid simulator = [3]: expected a mapping of parameters"),
        ({"near_duplicates": {"threshold": 2}}, "invalid near_duplicates.threshold = 2: expected less than"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_once_with_what_is_accepted(changes, message):
    head, line = refused(overlay(PARAMS, changes))
    assert head == "params.yaml is invalid:"
    assert line.strip().startswith(message)


def test_everything_wrong_is_reported_at_once():
    content = overlay(copy.deepcopy(PARAMS), {"dedupe": {"min_rows": -1}, "promote": {"margin": 2}, "extra": {}})
    del content["serve"], content["evaluate"]["margin"]
    head, *lines = refused(content, moved=["dedupe"])
    assert head == "params.yaml would be invalid and is unchanged:"
    named = [
        "unknown section 'extra'",
        "dedupe.min_rows",
        "evaluate.margin",
        "promote.margin",
        "section serve is missing",
    ]
    assert len(lines) == len(named)
    assert all(name in line for name, line in zip(named, lines, strict=True))


def test_the_sections_of_the_domain_are_checked_too(tmp_path):
    (tmp_path / "params.yaml").write_text("dedup: {}\nsplit: 3\n")
    lines = refused({**PARAMS, "domain": str(tmp_path)})
    assert any("the domain's params.yaml: unknown section 'dedup'" in line for line in lines)
    assert any("the domain's params.yaml: invalid split = 3" in line for line in lines)


def test_a_missing_domain_is_named():
    assert "domain = 'nowhere'" in refused({**PARAMS, "domain": "nowhere"})[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"source": "files", "files": {"paths": ["no/*.csv"]}}, "ingest.files.paths: 'no/*.csv' matches no file"),
        (
            {"source": "sql", "sql": {"query": "SELECT :start, :end ORDER BY 1"}},
            "the environment variable PERENNIAL_SQL_URL (ingest.sql.address_variable) is not set",
        ),
    ],
)
def test_a_source_that_does_not_exist_is_rejected_if_ingest_changed(source, message):
    content = overlay(PARAMS, {"ingest": source})
    for moved in (["ingest"], ["domain"]):
        [line] = refused(content, moved=moved)[1:]
        assert line.strip().startswith(message)
    check_sections(content, root=ROOT, environment={}, moved=["promote"])  # its outputs may be there already
