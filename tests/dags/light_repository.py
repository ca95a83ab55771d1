"""Build a light DVC repository with DAGs, and run them, for the tests of this folder."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIGHT = Path(__file__).with_name("light")
TOOLS = ROOT / ".venv" / "bin"


def git(folder: Path, *arguments: str) -> str:
    """Run git and return its output."""
    command = ["git", "-C", str(folder), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert answer.returncode == 0, f"git {arguments}: {answer.stderr}"
    return answer.stdout.strip()


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def plain(**more: str) -> dict[str, str]:
    """Return the variables of a command of the pipeline environment: none of the orchestrator's."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}} | more


class LightRepository:
    """A git repository with a light pipeline in `origin`, a state root in `home`, and an Airflow home in `airflow`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = folder / "origin"
        self.home = folder / "home"
        self.airflow = folder / "airflow"

    def make(self) -> LightRepository:
        """Write and commit the repository."""
        self.origin.mkdir(parents=True)
        # Under their own names they would be stages of this repository too.
        for name, there in {"stages.yaml": "dvc.yaml", "parameters.yaml": "params.yaml"}.items():
            shutil.copy(LIGHT / name, self.origin / there)
        for name in ("stage.py", "release.py", "project.py"):
            shutil.copy(LIGHT / name, self.origin / name)
        (self.origin / "data").mkdir()
        # As in the real repository: git ignores all outputs, and a run commits its evidence by force.
        (self.origin / "data" / ".gitignore").write_text("/*/\n!/overrides/\n")
        (self.origin / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
        (self.origin / "data" / "champion.json").write_text('{"digest": null, "version": null}\n')
        (self.origin / "dags").mkdir()
        (self.origin / "scripts").mkdir()
        shutil.copy(LIGHT / "light.py", self.origin / "dags" / "light.py")
        shutil.copy(ROOT / "scripts" / "export_graph.py", self.origin / "scripts" / "export_graph.py")
        (self.origin / ".gitignore").write_text("__pycache__/\n")
        (self.origin / ".dvcignore").write_text("__pycache__\n")
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(self.origin)], check=True)
        for name, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
            git(self.origin, "config", name, value)
        self.tool("dvc", "init", "--quiet")
        self.graph()
        self.commit("light pipeline")
        return self

    def graph(self) -> None:
        """Generate the graph as `make graph` does."""
        self.tool("python", "scripts/export_graph.py")

    def commit(self, message: str) -> str:
        """Commit everything in the origin."""
        git(self.origin, "add", "--all")
        git(self.origin, "commit", "--quiet", "--message", message)
        return git(self.origin, "rev-parse", "HEAD")

    @property
    def environment(self) -> dict[str, str]:
        """Variables of Airflow and of commands here."""
        own = ("AIRFLOW", "LIGHT_", "PERENNIAL")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        return {
            **kept,
            "PATH": f"{TOOLS}{os.pathsep}{kept['PATH']}",
            "LIGHT_ROOT": str(self.origin),
            "LIGHT_HOME": str(self.home),
            "LIGHT_TOOLS": str(TOOLS),
            "DVC_NO_ANALYTICS": "1",
            "PYTHONPATH": str(ROOT / "dags"),
            "AIRFLOW_HOME": str(self.airflow),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.origin / "dags"),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        }

    def tool(self, *command: str, folder: Path | None = None, check: bool = True) -> str:
        """Run a program of the pipeline environment."""
        environment = {**self.environment, "PYTHONPATH": ""}
        answer = subprocess.run(
            [str(TOOLS / command[0]), *command[1:]],
            cwd=folder or self.origin,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert not check or answer.returncode == 0, f"{command}: {answer.stdout}{answer.stderr}"
        return answer.stdout + answer.stderr

    def database(self, template: Path | None = None) -> None:
        """Make Airflow's database, from a template where there is one."""
        self.airflow.mkdir(parents=True, exist_ok=True)
        if template is not None and template.exists():
            shutil.copy(template, self.airflow / "airflow.db")
            return
        answer = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"], env=self.environment, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr[-3000:]

    def run(
        self, dag: str = "light", *, conf: dict | None = None, end: str | None = None, **more: str
    ) -> tuple[dict, str]:
        """Run a DAG to its end in one process; returns the state of each task, and the whole log."""
        command = [sys.executable, str(LIGHT / "one_run.py"), str(self.origin / "dags" / "light.py"), dag]
        command += [json.dumps(conf or {}), *([end] if end else [])]
        answer = subprocess.run(
            command, env={**self.environment, **more}, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        log = answer.stdout + answer.stderr
        found = [line for line in answer.stdout.splitlines() if line.startswith("STATES ")]
        assert found, log[-6000:]
        return json.loads(found[0].removeprefix("STATES ")), log

    def registry(self) -> dict:
        """What the light registry holds."""
        return json.loads((self.home / "registry" / "registry.json").read_text())

    def tags(self) -> list[str]:
        """Tags at the origin."""
        return git(self.origin, "tag", "--list").splitlines()
