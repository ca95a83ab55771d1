"""`make airflow` is independent of another Airflow's settings, and an error in a DAG file does not stop it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import airflow_local
import airflow_settings
import pytest
from airflow_client import Client
from airflow_local import Airflow, dag_files
from light_repository import ROOT, git

FOREIGN = {
    "AIRFLOW_HOME": "/company",
    "AIRFLOW_CONFIG": "/company/airflow.cfg",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://company/airflow",
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW_CONN_WAREHOUSE": "postgres://company",
    "PYTHONPATH": "/company/dags",
    "http_proxy": "http://127.0.0.1:9",
    "LIGHT_AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
}


def test_settings_of_another_airflow_have_no_effect_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    made = airflow_settings.settings(tmp_path / "home", port=8201, database=None, prefix="LIGHT", root=tmp_path)
    assert not [name for name, value in made.items() if "company" in value]
    assert made["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{tmp_path}/home/airflow.db"
    assert (made["AIRFLOW_HOME"], made["AIRFLOW__CORE__EXECUTOR"]) == (str(tmp_path / "home"), "LocalExecutor")
    assert made["AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC"] == "2", "the project's prefix chooses a setting"
    assert "127.0.0.1" in made["no_proxy"].split(",")
    assert str(ROOT / "dags") in made["PYTHONPATH"].split(":")
    text = airflow_settings.ignored("LIGHT")
    assert "AIRFLOW_CONFIG" in text and "LIGHT_AIRFLOW__" in text


def test_an_address_of_sqlite_leads_to_the_home_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import create_engine

    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    for name in ("plain", "Büro, c# 50% done", "what?", "名前"):
        (tmp_path / name).mkdir()
        with create_engine(airflow_settings.sqlite_address(tmp_path / name)).connect() as connection:
            connection.exec_driver_sql("create table t (id integer)")
        assert (tmp_path / name / "airflow.db").is_file()


@pytest.mark.slow
def test_a_folder_that_airflow_would_take_for_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"\$HOME.* for "):
        airflow_settings.settings(
            tmp_path / "$HOME" / "airflow", port=8201, database=None, prefix="LIGHT", root=tmp_path
        )
    assert list(tmp_path.iterdir()) == []


def test_no_default_of_airflow_leaves_the_home(tmp_path: Path) -> None:
    home = tmp_path / "50% done"
    made = airflow_settings.settings(home, port=8201, database=None, prefix="LIGHT", root=tmp_path)
    code = "from airflow.configuration import conf; print(conf.get('logging', 'base_log_folder'))"
    asked = [sys.executable, "-c", code]
    found = subprocess.run(asked, env=made, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert found.splitlines()[-1] == str(home / "logs")


def test_a_database_with_tables_of_another_installation_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "company.db"
    with sqlite3.connect(file) as company:
        company.execute("create table dag_run (id integer)")
    before = file.read_bytes()
    airflow = Airflow(tmp_path / "home", port=8202, database=f"sqlite:///{file}", prefix="LIGHT", root=tmp_path)
    with pytest.raises(SystemExit, match="1 tables that this installation did not make"):
        airflow.refuse_foreign_database()
    assert file.read_bytes() == before
    empty = Airflow(
        tmp_path / "home", port=8202, database=f"sqlite:///{tmp_path}/new.db", prefix="LIGHT", root=tmp_path
    )
    empty.refuse_foreign_database()
    with sqlite3.connect(tmp_path / "new.db") as own:
        own.execute("create table dag_run (id integer)")
    empty.refuse_foreign_database()  # by now it is this installation's


def test_only_files_that_define_a_dag_are_waited_for(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "dags").mkdir()
    files = {"a.py": 'with DAG(\n    "a"):\n', "b.py": "@dag\ndef b(): ...\n", "helper.py": "# a DAG\nimport airflow\n"}
    for name, text in files.items():
        (tmp_path / "dags" / name).write_text(text)
    git(tmp_path, "add", "dags")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message=x")
    assert dag_files(tmp_path) == {"a.py", "b.py"}


def test_an_error_in_a_dag_file_is_returned_with_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "/auth/token": {"access_token": "t"},
        "/api/v2/importErrors": {
            "import_errors": [{"filename": "b.py", "stack_trace": "Traceback\n ...\nNameError: x"}]
        },
        "/api/v2/dags?limit=100": {"dags": [{"dag_id": "a", "relative_fileloc": "a.py"}]},
    }
    monkeypatch.setattr(Client, "call", lambda self, method, path, body=None: answers[path])
    client = Client("http://127.0.0.1:1", user="u", password="p")
    assert client.import_errors({"a.py", "b.py"}) == {"b.py": "NameError: x"}
    assert client.import_errors({"a.py", "c.py"}, seconds=0.1)["c.py"] == "no DAG was found in 0 s"


def test_a_folder_outside_git_is_refused_with_the_command_that_fixes_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="git init"):
        airflow_local.main([f"--root={tmp_path}"])
