"""Run a complete Airflow on this machine, for `make airflow`: `python scripts/airflow_local.py [--port N] [--smoke]`.

Starts api-server, scheduler, dag-processor and triggerer with LocalExecutor, on the loopback interface only, on SQLite
or on the PostgreSQL of `--db`. All its files are in `.airflow/`. Ctrl-C stops every component. Runs in the
orchestrator's environment.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "dags"), str(ROOT / "scripts")]  # of this checkout, wherever the environment was made

from airflow_client import DIRECT, Client  # noqa: E402
from airflow_settings import ignored, private, settings  # noqa: E402
from orchestration.git import git  # noqa: E402
from orchestration.process import end_all  # noqa: E402
from orchestration.project import Project, place_in_repository  # noqa: E402

COMPONENTS = {
    "api-server": ["api-server", "--host", "127.0.0.1", "--workers", "1"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
POOLS = {"gpu": (1, "stages that need the accelerator")}
STOP_SECONDS = 20.0
START_SECONDS = 300.0


def _with_parent() -> None:
    """Run in a component before it starts: it ends with this program even when that is killed (Linux only)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6", use_errno=True).prctl(1, signal.SIGTERM)


class Airflow:
    """The components of one Airflow, each in a process group of its own."""

    def __init__(self, home: Path, *, port: int, database: str | None, prefix: str, root: Path) -> None:
        self.home = home
        self.port = port
        self.database = database
        self.prefix = prefix
        self.root = root
        self.logs = home / "logs" / "components"
        self.environment = settings(home, port=port, database=database, prefix=prefix, root=root)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def password(self) -> str:
        """The generated password of the user `admin`."""
        return str(json.loads((self.home / "passwords.json").read_text())["admin"])

    def command(self, *arguments: str) -> None:
        """Run one airflow command; SystemExit with its last lines when it fails."""
        answer = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if answer.returncode:
            last = "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-15:])
            raise SystemExit(f"airflow {' '.join(arguments)} failed:\n{last}")

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the home; SystemExit when another Airflow runs from it, or when the port is in use."""
        with (self.home / "running.lock").open("a") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SystemExit(f"an Airflow is already running from {self.home}: stop it first") from None
            with socket.socket() as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    tried.bind(("127.0.0.1", self.port))
                except OSError as error:
                    raise SystemExit(
                        f"port {self.port}: {error.strerror}. Choose another: make airflow PORT=8081"
                    ) from None
            yield

    def prepare(self) -> None:
        """Make or migrate the metadata store, and make the pools."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.refuse_foreign_database()
        self.command("db", "migrate")
        for name, (slots, text) in POOLS.items():
            if not self.has_pool(name):  # its slots may have been changed by an administrator
                self.command("pools", "set", name, str(slots), text)

    def refuse_foreign_database(self) -> None:
        """Remember a database that is empty as this installation's; SystemExit for one that has another's tables."""
        if not self.database:
            return
        from sqlalchemy import create_engine, inspect
        from sqlalchemy.exc import SQLAlchemyError

        file, name = self.home / "databases.json", hashlib.sha256(self.database.encode()).hexdigest()
        known = json.loads(file.read_text()) if file.is_file() else {}
        if name in known:
            return
        shown = self.database.rpartition("@")[2]  # without the password
        try:
            if tables := inspect(create_engine(self.database)).get_table_names():
                raise SystemExit(
                    f"the database {shown} has {len(tables)} tables that this installation did not make "
                    f"({', '.join(sorted(tables)[:3])}, ...): it is left as it is. Name an empty database in DB; "
                    f"if it does belong to {self.home}, write {json.dumps({name: shown})} to {file}"
                )
        except SQLAlchemyError as error:
            raise SystemExit(f"the database {shown} cannot be reached: {str(error).splitlines()[0]}") from None
        private(file, {**known, name: shown})

    def has_pool(self, name: str) -> bool:
        """True when the metadata store has a pool of that name."""
        asked = [sys.executable, "-m", "airflow", "pools", "list", "--output", "json"]
        answer = subprocess.run(asked, env=self.environment, capture_output=True, text=True, check=True)
        return any(pool["pool"] == name for pool in json.loads(answer.stdout[answer.stdout.index("[") :]))

    def start(self, name: str) -> None:
        """Start one component, with a log file of its own."""
        extra = ["--port", str(self.port)] if name == "api-server" else []
        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *COMPONENTS[name], *extra],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_with_parent,  # noqa: PLW1509  one thread here
            )

    def start_all(self) -> None:
        """Start every component and wait until all report that they are healthy."""
        for name in COMPONENTS:
            self.start(name)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            self.check_alive()
            if self.healthy():
                return
            time.sleep(0.5)
        raise SystemExit(f"Airflow did not start within {START_SECONDS:.0f} seconds: see {self.logs}")

    def check_alive(self) -> None:
        """SystemExit with its log's last lines when a component has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                last = (self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-15:]
                raise SystemExit(f"{name} ended with {process.returncode}:\n" + "\n".join(last))

    def healthy(self) -> bool:
        """Return True when the api-server answers and has a heartbeat of every other component."""
        try:
            with DIRECT.open(f"http://127.0.0.1:{self.port}/api/v2/monitor/health", timeout=3) as answer:
                found = json.load(answer)
        except (OSError, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all((found.get(part) or {}).get("status") == "healthy" for part in parts)

    def stop(self) -> None:
        """Stop every component with SIGINT, the scheduler with its workers first; kill what is left after a while."""
        order = [name for name in ("scheduler", "triggerer", "dag-processor", "api-server") if name in self.processes]
        for name in order:
            with contextlib.suppress(ProcessLookupError):
                self.processes[name].send_signal(signal.SIGINT)
        until = time.monotonic() + STOP_SECONDS
        for name in order:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.processes[name].wait(max(0.1, until - time.monotonic()))
        for name in order:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.processes[name].pid, signal.SIGKILL)
            self.processes[name].wait()
        # A stage runs in a session of its own: its task was stopped, and its outcome would be lost.
        end_all(f"{Project.from_environment(self.prefix, root=self.root).home}#", prefix=True)

    def client(self) -> Client:
        """Return a REST client that is logged in as `admin`."""
        return Client(f"http://127.0.0.1:{self.port}", user="admin", password=self.password)


@contextlib.contextmanager
def running(airflow: Airflow) -> Iterator[Airflow]:
    """Start the Airflow, yield it, and stop it whatever happens in the block."""
    with airflow.claimed():
        try:
            airflow.prepare()
            airflow.start_all()
            yield airflow
        finally:
            airflow.stop()


def uncommitted(root: Path) -> str:
    """Return a sentence about changes that runs do not include, or ""."""
    command = ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    files = answer.stdout.splitlines()
    if not files:
        return ""
    names = ", ".join(line[3:] for line in files[:5]) + (", ..." if len(files) > 5 else "")
    return f"Runs use committed files: your changes to {names} are not included."


def dag_files(root: Path) -> set[str]:
    """Return the committed files of the DAG folder that define a DAG; other modules in it define none."""
    folder = root / "dags"
    listed = git(root, "ls-tree", "--name-only", "HEAD", "dags/").splitlines()
    files = [folder / Path(name).name for name in listed if name.endswith(".py")]
    texts = {file.name: git(root, "show", f"HEAD:./dags/{file.name}") for file in files}
    return {name for name, text in texts.items() if re.search(r"\bDAG\(|^@dag\b", text, re.MULTILINE)}


def port_of(text: str) -> int:
    """Return a port number, for argparse; SystemExit when it is invalid."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise SystemExit(f"invalid PORT = {text!r}: expected an integer from 1 to 65535")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Run Airflow until Ctrl-C, or, with --smoke, until it has started and every DAG exists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=port_of, default=8080)
    parser.add_argument("--db", default="", help="SQLAlchemy URL of a PostgreSQL metadata database (default: SQLite)")
    parser.add_argument("--home", type=Path, default=ROOT / ".airflow")
    parser.add_argument("--prefix", default="PERENNIAL", help="prefix of the project's environment variables")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout whose DAGs run")
    parser.add_argument("--smoke", action="store_true", help="start, check that every DAG is imported, stop")
    parser.add_argument("--cli", nargs=argparse.REMAINDER, help="run `airflow` with these arguments, start nothing")
    given = parser.parse_args(arguments)
    root = given.root.resolve()
    if place_in_repository(root)[0] == root and not (root / ".git").exists() and not (root / "HEAD").exists():
        raise SystemExit(f"{root} is in no git repository: runs need commits. Run: git init && git add . && git commit")
    database = given.db.replace("postgresql://", "postgresql+psycopg2://", 1) if given.db else None
    airflow = Airflow(given.home.resolve(), port=given.port, database=database, prefix=given.prefix, root=root)

    if given.cli is not None:
        return subprocess.run(
            [sys.executable, "-m", "airflow", *given.cli], env=airflow.environment, check=False
        ).returncode

    def interrupted(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell starts what it puts in the background with SIGINT ignored, and the components inherit that.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    for line in filter(None, (ignored(given.prefix), "Airflow: starting (the first time takes half a minute) ...")):
        print(line, flush=True)
    try:
        with running(airflow):
            errors = airflow.client().import_errors(dag_files(root))
            print(f"\nAirflow: http://127.0.0.1:{given.port}   user: admin   password: {airflow.password}")
            print(f"DAGs: {', '.join(airflow.client().dag_ids())}.   Logs: {airflow.logs}   Stop: Ctrl-C")
            for file, error in errors.items():
                print(f"{file} cannot be imported (Airflow shows the whole error on its page Dags): {error}")
            print(uncommitted(root), flush=True)
            if given.smoke and errors:
                return 1
            while not given.smoke:
                time.sleep(1)
                airflow.check_alive()
    except KeyboardInterrupt:
        pass
    print("\nAirflow: stopped", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
