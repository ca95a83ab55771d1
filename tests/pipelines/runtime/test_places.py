"""Each variable that names a place means the same folder for every command, wherever it runs."""

from pathlib import Path

import pytest

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.places import absolute_address, absolute_places, sqlite_address, sqlite_file

BASE = Path("/srv/project")


@pytest.mark.parametrize(
    ("address", "absolute"),
    [
        ("sqlite:///crm.db", "sqlite:////srv/project/crm.db"),
        ("sqlite+pysqlite:///data/crm.db?timeout=5", "sqlite+pysqlite:////srv/project/data/crm.db?timeout=5"),
        ("sqlite:///file:crm.db?mode=ro&uri=true", "sqlite:///file:/srv/project/crm.db?mode=ro&uri=true"),
        ("duckdb:///crm.duckdb", "duckdb:////srv/project/crm.duckdb"),
        *((kept, kept) for kept in ("sqlite:////abs/crm.db", "sqlite:///:memory:", "sqlite://", "sqlite:///")),
        *((kept, kept) for kept in ("sqlite:///file:/abs/crm.db", "sqlite:///file::memory:?uri=true")),
        *((kept, kept) for kept in ("postgresql://me:secret@host/db", "sqlite", "", "see sqlite:///crm.db")),
    ],
)
def test_the_file_of_a_database_is_absolute(address, absolute):
    assert absolute_address(address, BASE) == absolute


@pytest.mark.parametrize(
    ("given", "absolute"),
    [
        ("mlruns", "/srv/project/mlruns"),
        ("./mlruns", "/srv/project/mlruns"),
        ("file:mlruns", "/srv/project/mlruns"),
        ("sqlite:///mlflow.db", "sqlite:////srv/project/mlflow.db"),
        *((kept, kept) for kept in ("http://host:5000", "file:///abs/mlruns", "/abs/mlruns", "databricks")),
    ],
)
def test_the_registry_is_absolute(given, absolute):
    assert absolute_places({"MLFLOW_TRACKING_URI": given}, BASE)["MLFLOW_TRACKING_URI"] == absolute


@pytest.mark.parametrize("name", ["PERENNIAL_DATA", "PERENNIAL_MODELS"])
def test_folders_start_at_the_project_also_in_a_workspace_of_a_run(name):
    assert absolute_places({name: "feeds"}, BASE)[name] == "/srv/project/feeds"
    workspace = {name: "feeds", "PERENNIAL_ROOT": str(BASE), "CRM": "sqlite:///crm.db"}
    found = absolute_places(workspace, Path("/var/runs/7"))
    assert (found[name], found["CRM"]) == ("/srv/project/feeds", "sqlite:////srv/project/crm.db")
    assert absolute_places({name: ""}, BASE)[name] == ""
    assert absolute_places(found, Path("/elsewhere")) == found


@pytest.mark.parametrize("name", ["PERENNIAL_DATA", "PERENNIAL_MODELS"])
def test_an_object_store_is_no_folder(name):
    with pytest.raises(ParamsError, match=f"{name} = 's3://bucket/feeds'"):
        absolute_places({name: "s3://bucket/feeds"}, BASE)


NAMES = ["Büro", "c# samples", "a, b", "what?", "50% done", "%41", "名前", "it's", "[x]", "a&b", "$HOME", 'q"q', "k=v"]


@pytest.mark.parametrize("name", NAMES)
def test_an_sqlite_address_means_one_file_to_sqlalchemy_and_here(tmp_path, name):
    from sqlalchemy import create_engine, text

    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    engine = create_engine(sqlite_address(file))
    with engine.begin() as connection:
        connection.execute(text("create table t (a int)"))
    engine.dispose()
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.db")] == [file.relative_to(tmp_path)]
    assert sqlite_file(sqlite_address(file)) == file
    relative = create_engine(absolute_address("sqlite:///mlflow.db", file.parent))
    with relative.begin() as connection:
        assert connection.execute(text("select count(*) from t")).scalar() == 0
    relative.dispose()
