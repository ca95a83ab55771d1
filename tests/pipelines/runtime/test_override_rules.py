"""An override of a run names no code, no other database and no file outside the data folder."""

import pytest

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.override_rules import DOMAINS, SOURCES, refused
from pipelines.runtime.overrides import set_parameters
from pipelines.runtime.project import Project

QUERY = "SELECT id, text FROM messages WHERE day >= :start AND day < :end ORDER BY id"


def lines(root, changes, **environment):
    content = {}
    for name, value in changes.items():
        *parents, last = name.split(".")
        section = content
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return refused({"domain": "mine"}, content, root=root, environment=environment)


@pytest.fixture
def root(tmp_path):
    checkout = tmp_path / "checkout"
    for folder in ("mine", "other", "data/domain", ".hidden", "files"):
        (checkout / folder).mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (checkout / "link").symlink_to(tmp_path / "outside")
    return checkout


@pytest.mark.parametrize("value", ["../outside", "link", "data/domain", ".hidden", "/", "other/../../outside"])
def test_domains_that_are_refused(root, value):
    (line,) = lines(root, {"domain": value})
    assert "pipelines/domains/complaints" in line
    assert DOMAINS in line


def test_domains_that_are_accepted(root, tmp_path):
    assert lines(root, {"domain": "other"}) == []
    assert lines(root, {"domain": "mine"}) == []
    outside = str(tmp_path / "outside")
    assert lines(root, {"domain": outside})
    assert lines(root, {"domain": outside}, **{DOMAINS: f"/nowhere:{outside}"}) == []
    assert lines(root, {"domain": "link"}, **{DOMAINS: outside}) == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x.csv",
        "a/../../x.csv",
        "link/x.csv",
        "/*",
        "s3://bucket/x.csv",
        "file:///etc/passwd",
        "zip://a::/b",
    ],
)
def test_paths_that_are_refused(root, path):
    (line,) = lines(root, {"ingest.files.paths": ["files/a.csv", path]})
    assert "PERENNIAL_DATA" in line


def test_paths_that_are_accepted(root, tmp_path):
    outside = str(tmp_path / "outside")
    assert lines(root, {"ingest.files.paths": ["files/*.csv", str(root / "files" / "x.csv")]}) == []
    assert lines(root, {"ingest.files.paths": [f"{outside}/x.csv"]}, PERENNIAL_DATA=outside) == []
    listed = {SOURCES: f"s3://bucket/in {outside}"}
    assert lines(root, {"ingest.files.paths": ["s3://bucket/in/x.csv", f"{outside}/x.csv"]}, **listed) == []
    assert lines(root, {"ingest.files.paths": ["s3://bucket/inner/x.csv"]}, **listed)
    assert lines(root, {"ingest.files.paths": ["s3://bucket/in/../x.csv"]}, **listed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ingest.sql.address_variable", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"),
        ("ingest.sql.address_variable", "PERENNIAL_API_TOKEN"),
        ("ingest.cfpb.address", "http://169.254.169.254/"),
        ("ingest.sql.query", "DELETE FROM messages"),
        ("ingest.sql.query", f"{QUERY}; DROP TABLE messages"),
        ("ingest.sql.query", "SELECT * FROM read_csv('/etc/passwd') ORDER BY 1"),
        ("ingest.sql.query", "SELECT * FROM '/etc/passwd' ORDER BY 1"),
        ("ingest.sql.query", "WITH a AS (DELETE FROM b RETURNING *) SELECT * FROM a ORDER BY 1"),
    ],
)
def test_other_databases_and_services_are_refused(root, name, value):
    assert len(lines(root, {name: value})) == 1


def test_a_query_and_a_variable_for_it_are_accepted(root):
    assert lines(root, {"ingest.sql.query": QUERY, "ingest.sql.address_variable": "PERENNIAL_SQL_URL_CRM"}) == []
    assert lines(root, {"ingest.sql.query": f"-- newest first\n{QUERY};"}) == []


def test_a_refused_override_changes_nothing(root):
    file = root / "params.yaml"
    file.write_text("domain: mine\n")
    with pytest.raises(ParamsError, match="invalid override domain"):
        set_parameters(root, {"domain": "../outside"}, environment={})
    assert file.read_text() == "domain: mine\n"


def test_a_machine_that_lists_domains_refuses_others_in_the_file_too(root, tmp_path):
    (root / "params.yaml").write_text("domain: link\n")
    (tmp_path / "outside" / "params.yaml").write_text("{}\n")
    home = {"PERENNIAL_HOME": str(tmp_path / "home")}
    outside = tmp_path / "outside"
    assert Project.open(root, home).domain_folder == outside
    assert Project.open(root, {**home, DOMAINS: str(outside)}).domain_folder == outside
    with pytest.raises(ParamsError, match="invalid domain"):
        Project.open(root, {**home, DOMAINS: ""})
