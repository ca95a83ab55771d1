"""The whole of params.yaml, held to every section's model at once: what is wrong, where, and what would be right."""

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
        check_sections(content, root=ROOT, **more)
    assert error.value.exit_code == 64
    return str(error.value).splitlines()


def test_the_repositorys_own_file_is_right():
    check_sections(PARAMS, root=ROOT)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"promote": {"margin": 1.5}}, "promote.margin = 1.5: Input should be less than 1"),
        ({"promote": {"resamples": "many"}}, "promote.resamples = 'many': Input should be a valid integer"),
        ({"promote": {"margn": 0.1}}, "promote.margn is unknown; there are: margin, superiority"),
        ({"promote": {"slices": {"rows": 1}}}, "promote.slices.rows is unknown; there are: max_categories,"),
        ({"serve": {"canary": {"shar": 1}}}, "serve.canary.shar is unknown; there are: share, alpha"),
        ({"resources": {"threads": "two"}}, "resources.threads = 'two': Input should be a valid integer"),
        ({"drift": 3}, "params.yaml: drift = 3; a mapping of parameters would be right"),
        ({"promot": {"margin": 0.1}}, "params.yaml has no section 'promot'; there are: baseline, bias_gate,"),
        ({"simulator": {"rows_a_day": 3}}, "simulator.rows_a_day is unknown; there are: rows_per_day, class_shares"),
        ({"ingest": {"start": date(2023, 3, 1)}}, 'ingest.start = 2023-03-01 is a date to YAML, which DVC does not'),
        ({"resources": {"threads": 0}}, "resources.threads = 0: Input should be greater than or equal to 1"),
        ({"simulator": [3]}, "params.yaml: simulator = [3]; a mapping of parameters would be right"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_would_be_right(changes, said):
    head, line = refused(overlay(PARAMS, changes))
    assert head == "params.yaml is wrong:"
    assert line.strip().startswith(said)


def test_everything_wrong_is_said_at_once():
    content = overlay(copy.deepcopy(PARAMS), {"dedupe": {"min_rows": -1}, "promote": {"margin": 2}, "extra": {}})
    del content["serve"], content["evaluate"]["margin"]
    head, *lines = refused(content, moved=["dedupe"])
    assert head == "params.yaml would be wrong, and stays as it is:"
    assert [line.strip().split()[0] for line in lines] == [
        "params.yaml",
        "dedupe.min_rows",
        "evaluate.margin",
        "promote.margin",
        "section",
    ]
    assert "section serve is missing in params.yaml" in lines[-1]


def test_the_domains_own_sections_are_asked_too(tmp_path):
    (tmp_path / "params.yaml").write_text("dedup: {}\nsplit: 3\n")
    lines = refused({**PARAMS, "domain": str(tmp_path)})
    assert any("the domain's params.yaml has no section 'dedup'" in line for line in lines)
    assert any("the domain's params.yaml: split = 3; a mapping of parameters would be right" in line for line in lines)


def test_a_domain_that_is_not_there_is_named():
    assert "domain = 'nowhere'" in refused({**PARAMS, "domain": "nowhere"})[0]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"source": "files", "files": {"paths": ["no/*.csv"]}}, "ingest.files.paths: 'no/*.csv' names no file"),
        (
            {"source": "sql", "sql": {"query": "SELECT :start, :end ORDER BY 1"}},
            "the environment variable PERENNIAL_SQL_URL (ingest.sql.address_variable) is not set",
        ),
    ],
)
def test_a_source_that_is_not_there_is_refused_where_ingest_moved(source, said, monkeypatch):
    for name in ("PERENNIAL_DATA", "PERENNIAL_SQL_URL"):
        monkeypatch.delenv(name, raising=False)
    content = overlay(PARAMS, {"ingest": source})
    for moved in (["ingest"], ["domain"]):
        [line] = refused(content, moved=moved)[1:]
        assert line.strip().startswith(said)
    check_sections(content, root=ROOT, moved=["promote"])  # its outputs may be there already
