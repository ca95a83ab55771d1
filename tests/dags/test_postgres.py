"""The same on PostgreSQL, the metadata store of production; the test starts a server of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from airflow_local import running
from conftest import copy_of
from light_repository import free_port
from test_scheduler import start

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.enable_socket,
    pytest.mark.timeout(900),
]


@pytest.fixture
def database():
    """SQLAlchemy address of an empty database; the server ends with the test."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(p) for p in [shutil.which("initdb")] if p]
    if not found:
        pytest.skip("no PostgreSQL server programs here (Debian: apt-get install postgresql)")
    tools = found[-1].parent
    # Not below pytest's own folder, which every session that starts closes to other users again.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    options: dict = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        options = {"user": user.pw_uid, "group": user.pw_gid}
    port = free_port()
    data = folder / "data"
    run = {"capture_output": True, "check": True, "cwd": folder, **options}
    subprocess.run([tools / "initdb", "-D", data, "-U", "airflow", "--auth=trust"], **run)
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    subprocess.run([tools / "pg_ctl", "-D", data, "-o", settings, "-l", folder / "log", "-w", "start"], **run)
    try:
        subprocess.run([tools / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "airflow", "airflow"], **run)
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/airflow"
    finally:
        subprocess.run([tools / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run)
        shutil.rmtree(folder)


def test_from_trigger_to_a_promoted_champion_on_postgresql(_templates, tmp_path, monkeypatch, database: str) -> None:
    light = copy_of(_templates, tmp_path / "light")
    (light.airflow / "airflow.db").unlink()
    with running(start(light, monkeypatch, database=database)) as airflow:
        client = airflow.client()
        client.dags({"light"})
        runs = [client.trigger("light", {"overrides": {"ingest.rows": rows}}) for rows in (30, 31)]  # two at once
        for run in runs:
            assert client.wait("light", run, seconds=400) == "success", client.why("light", run)
    assert len(light.registry()["versions"]) == 2
    assert not (light.airflow / "airflow.db").exists()
