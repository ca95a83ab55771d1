"""Two checkouts used from one process, whose working directory is a third folder, do not influence each other."""

from __future__ import annotations

import csv
import shutil
from datetime import date

import pandas as pd
import pytest
import yaml

from pipelines.live.release.params import ReleaseParams
from pipelines.monitoring import predictions
from pipelines.monitoring.live_state import live_folder
from pipelines.records.domain import Domain
from pipelines.runtime.errors import InputError
from pipelines.runtime.project import Project
from pipelines.runtime.store import folder_digest
from pipelines.stages.ingest.__main__ import main as ingest
from pipelines.stages.ingest.params import IngestParams
from tests.factories.raw_rows import comment_rows

DAYS = ("2025-01-06", "2025-01-09")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The working directory of the process: an empty folder, and no checkout."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "perennial-home").exists()  # the state root that the process's own variables name


@pytest.fixture
def complaints_project(tmp_path, repository, elsewhere):
    root = checkout(tmp_path / "one", repository, domain="pipelines/domains/complaints", window=DAYS, seed=1)
    return Project.open(root, environment={"PERENNIAL_HOME": str(tmp_path / "one-home")})


@pytest.fixture
def comments_project(tmp_path, repository, elsewhere):
    root = checkout(
        tmp_path / "two", repository, domain="tests/domains/youtube_spam", window=("2025-01-06", "2025-03-03"), seed=2
    )
    rows = comment_rows(rows=80, seed=1)[:40]  # of one header
    (root / "source" / "youtube_spam").mkdir(parents=True)
    with (root / "source" / "youtube_spam" / "comments.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    environment = {"PERENNIAL_HOME": str(tmp_path / "two-home"), "PERENNIAL_DATA": "source"}
    return Project.open(root, environment=environment)


def checkout(root, repository, *, domain, window, seed):
    """A checkout of parameters and one domain; Git and DVC are not needed for what is tested here."""
    shutil.copytree(repository / domain, root / domain, ignore=shutil.ignore_patterns("__pycache__"))
    params = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
    params["domain"] = domain
    params["resources"]["seed"] = seed
    params["ingest"] = {**params["ingest"], "start": window[0], "end": window[1]}
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (root / "data").mkdir()
    (root / "data" / "last_good.json").write_text("{}", encoding="utf-8")
    return root


def test_parameters_domains_and_state_are_those_of_each_project(complaints_project, comments_project, tmp_path):
    one, two = complaints_project, comments_project
    assert (one.resources.seed, two.resources.seed) == (1, 2)
    assert (one.section("ingest", IngestParams).end, two.section("ingest", IngestParams).end) == (
        date(2025, 1, 9),
        date(2025, 3, 3),
    )
    schemas = [Domain(project.domain_folder).schema for project in (one, two, one)]
    assert [schema.name for schema in schemas] == ["complaints", "youtube_spam", "complaints"]
    assert schemas[0].features != schemas[1].features
    assert (one.model_name, two.model_name) == ("perennial-complaints", "perennial-youtube_spam")
    assert one.section("release", ReleaseParams) == two.section("release", ReleaseParams)
    assert (one.state, two.state) == (tmp_path / "one-home", tmp_path / "two-home")
    assert one.tracking_uri != two.tracking_uri
    assert one.data_folder == one.root and two.data_folder == two.root / "source"


def test_two_copies_of_one_domain_keep_their_own_code(tmp_path, repository, elsewhere):
    roots = [
        checkout(tmp_path / name, repository, domain="tests/domains/youtube_spam", window=DAYS, seed=1)
        for name in ("first", "second")
    ]
    changed = roots[1] / "tests/domains/youtube_spam/schema.py"
    changed.write_text(changed.read_text(encoding="utf-8").replace('name="youtube_spam"', 'name="copy"'), "utf-8")
    projects = [Project.open(root, environment={"PERENNIAL_HOME": str(root / "home")}) for root in roots]
    assert [Domain(project.domain_folder).schema.name for project in projects] == ["youtube_spam", "copy"]


def test_stores_of_two_projects_are_apart(complaints_project, comments_project):
    one, two = complaints_project.store, comments_project.store
    one.write_records("label", pd.DataFrame({"id": ["a"]}))
    with pytest.raises(InputError):
        two.read_records("label")
    two.write_records("label", pd.DataFrame({"id": ["b", "c"]}))
    assert one.read_records("label")["id"].tolist() == ["a"]
    assert two.read_records("label")["id"].tolist() == ["b", "c"]
    assert one.folder == complaints_project.root / "data"


def test_late_labels_of_two_models_are_apart(complaints_project, comments_project):
    folders = [live_folder(complaints_project), live_folder(comments_project)]
    labels = pd.DataFrame({"record_id": ["r1"], "label": ["mortgage"]})
    labels["labeled_at"] = pd.Timestamp("2025-01-07", tz="UTC")
    assert predictions.add_labels(folders[0], labels) == 1
    start, end = date(2025, 1, 6), date(2025, 1, 9)
    assert len(predictions.read_labels(folders[0], start=start, end=end)) == 1
    assert predictions.read_labels(folders[1], start=start, end=end).empty


@pytest.mark.slow
def test_a_stage_of_two_projects_in_turn_writes_what_it_writes_alone(complaints_project, comments_project):
    ingest(complaints_project)
    alone = folder_digest(complaints_project.root / "data" / "ingest")
    ingest(comments_project)
    comments = comments_project.store.read_records("ingest")
    assert 0 < len(comments) <= 40 and "capital_share" in comments
    assert folder_digest(complaints_project.root / "data" / "ingest") == alone
    ingest(complaints_project)
    assert folder_digest(complaints_project.root / "data" / "ingest") == alone
    assert "company" in complaints_project.store.read_records("ingest")
    assert comments.equals(comments_project.store.read_records("ingest"))
