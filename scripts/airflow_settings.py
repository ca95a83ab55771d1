"""Settings of the Airflow that `airflow_local.py` starts: an environment, and secrets that are made once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from orchestration.environment import clean
from orchestration.project import place_in_repository

ROOT = Path(__file__).resolve().parents[1]


def settings(home: Path, *, port: int, database: str | None, prefix: str, root: Path) -> dict[str, str]:
    """Return the environment of every component: clean, with the settings of this installation and no other's.

    Secrets are made once and stored in the home, readable by its owner only. Airflow's own variables have an effect
    only with the project's prefix: `PERENNIAL_AIRFLOW__SCHEDULER__...`.
    """
    for place in (home, root):
        if (expanded := os.path.expandvars(place)) != str(place):
            raise SystemExit(
                f"Airflow would take {place} for {expanded}: it puts the values of variables into the names of folders. "
                "Rename the folder, or unset the variable"
            )
    kept = _secrets(home)
    top, folder = place_in_repository(root)
    bundle = [
        {
            "name": "dags",
            "classpath": "orchestration.bundle.GitFolderBundle",
            "kwargs": {
                "origin": os.environ.get(f"{prefix}_ORIGIN") or str(top),
                "subdir": (Path(folder) / "dags").as_posix(),
                "refresh_interval": 5,
            },
        }
    ]
    address = f"http://127.0.0.1:{port}"
    given = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database or sqlite_address(home),
        # Airflow's own defaults for these are not expanded where the path has a `%`, and lead into the working directory.
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag_processor"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": kept["fernet"],
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__SECRET_KEY": kept["api"],
        "AIRFLOW__API__EXPOSE_CONFIG": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": kept["jwt"],
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundle),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",  # the files of a new commit are read at once
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW_CONN_FS_DEFAULT": '{"conn_type": "fs"}',  # what a FileSensor looks for
        f"{prefix}_ROOT": str(root),
        f"{prefix}_SCHEDULES_FROM": kept["created"],
    }
    own = f"{prefix}_AIRFLOW_"
    chosen = {name.removeprefix(f"{prefix}_"): value for name, value in os.environ.items() if name.startswith(own)}
    path = os.pathsep.join(dict.fromkeys((str(root / "dags"), str(ROOT / "dags"))))
    return {**clean(os.environ), **given, **chosen, "AIRFLOW_HOME": str(home), "PYTHONPATH": path}


def sqlite_address(home: Path) -> str:
    """Return the address of the home's SQLite file; by way of a link where the path has a `?`, which ends an address."""
    if "?" not in str(home):
        return f"sqlite:///{home / 'airflow.db'}"
    name = f"perennial-{os.geteuid()}-{hashlib.sha256(str(home).encode()).hexdigest()[:16]}"
    link = Path(tempfile.gettempdir()) / name
    with contextlib.suppress(FileExistsError):
        link.symlink_to(home)
    if link.lstat().st_uid != os.geteuid() or link.readlink() != home:
        raise SystemExit(f"{link} is not a link of this user to {home}: remove it, or name a PostgreSQL database in DB")
    return f"sqlite:///{link / 'airflow.db'}"


def ignored(prefix: str) -> str:
    """Return a sentence about variables of another Airflow in the environment, or ""."""
    names = sorted(name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_")))
    if not names:
        return ""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"Ignored settings of another Airflow: {shown}. To set one here: {prefix}_AIRFLOW__SECTION__KEY=..."


def _secrets(home: Path) -> dict[str, str]:
    """Return the keys of this installation: made at the first start, in a file that only its owner can read."""
    file = home / "secrets.json"
    if not file.is_file():
        from cryptography.fernet import Fernet

        now = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
        made = {"fernet": Fernet.generate_key().decode(), "created": now.isoformat()}
        made |= {name: secrets.token_urlsafe(48) for name in ("api", "jwt")}
        private(file, made)
        private(home / "passwords.json", {"admin": secrets.token_urlsafe(12)})
    return dict(json.loads(file.read_text()))


def private(file: Path, content: dict[str, str]) -> None:
    """Write a file that only its owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        json.dump(content, opened)
