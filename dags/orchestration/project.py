"""Where a project keeps its code, its state and its tools: read from the environment once, passed to every operator."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

# Never handed to a stage: the orchestrator's own settings and secrets, and Python settings of its environment.
WITHHELD = ("AIRFLOW_", "_AIRFLOW_", "__AIRFLOW", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Project:
    """A DVC repository that is run in workspaces: all its addresses, none of its contents."""

    root: Path  # the checkout that the DAGs stand in
    home: Path  # state root, absolute
    origin: str  # git address that runs are cloned from and recorded to
    tools: Path  # folder with the `dvc` and `python` of the pipeline environment
    dvc_remote: str  # used where the repository's own DVC configuration names no default remote
    exported: Mapping[str, str] = field(default_factory=dict)  # further variables of every stage
    distributed: bool = False  # True: a run's tasks may land on several hosts, which share only git and the DVC remote
    alert_address: str | None = None  # a web hook that gets every alert as JSON
    schedules_from: datetime | None = (
        None  # schedules count from here where a set-up says so, not from a DAG's own date
    )
    actor_variable: str | None = None  # tells a command who started its run

    @classmethod
    def from_environment(cls, prefix: str, *, root: Path) -> Project:
        """Read `<PREFIX>_HOME`, `_ROOT`, `_ORIGIN`, `_TOOLS`, `_DVC_REMOTE`, `_DISTRIBUTED`, and the rest below."""

        def given(name: str) -> str | None:
            return os.environ.get(f"{prefix}_{name}") or None

        root = Path(given("ROOT") or root).resolve()
        home = Path(given("HOME") or root / f".{prefix.lower()}")
        if not home.is_absolute():
            raise ValueError(f"{prefix}_HOME = {str(home)!r} is relative; an absolute path would be right")
        return cls(
            root=root,
            home=home,
            origin=given("ORIGIN") or str(root),
            tools=Path(given("TOOLS") or root / ".venv" / "bin"),
            dvc_remote=given("DVC_REMOTE") or str(home / "dvc-remote"),
            exported={f"{prefix}_HOME": str(home)},
            distributed=(given("DISTRIBUTED") or "").lower() in {"1", "true", "yes", "on"},
            alert_address=given("ALERT_ADDRESS"),
            schedules_from=datetime.fromisoformat(since) if (since := given("SCHEDULES_FROM")) else None,
            actor_variable=f"{prefix}_ACTOR",
        )

    def first_interval(self, cron: str) -> datetime | None:
        """Begin of the schedule's interval in which the set-up was made: its end, the next time due, is the first run.

        With the set-up's own time as start date that interval would not count, and the first time due would be skipped.
        """
        from airflow.timetables.interval import CronDataIntervalTimetable  # the scheduler's, which can reckon

        if self.schedules_from is None:
            return None
        table = CronDataIntervalTimetable(cron, timezone="UTC")
        return table.infer_manual_data_interval(run_after=self.schedules_from.replace(tzinfo=UTC)).end

    @property
    def runs(self) -> Path:
        """Everything that runs leave outside the repository: clone, workspaces, task records."""
        return self.home / "runs"

    @property
    def cache(self) -> Path:
        """The one DVC cache of all workspaces."""
        return self.home / "dvc-cache"

    def environment(self, **more: str) -> dict[str, str]:
        """Variables of a command in a workspace: this process's own without the orchestrator's, tools first on PATH."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(WITHHELD)}
        return {
            **kept,
            **self.exported,
            "PATH": f"{self.tools}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "DVC_NO_ANALYTICS": "1",
            "PYTHONUNBUFFERED": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **more,
        }

    def dvc_settings(self, workspace: Path) -> str:
        """Text of a workspace's `.dvc/config.local`: the shared cache, and a remote where the project names none."""
        # A link to the cache is only safe where its file mode stops an in-place write, which it does not for root.
        links = "reflink,copy" if os.geteuid() == 0 else "reflink,hardlink,copy"
        committed = configparser.ConfigParser()
        committed.read(workspace / ".dvc" / "config")
        lines = ["[core]", "    analytics = false", "    check_update = false", "    autostage = false"]
        remote = []
        if not committed.get("core", "remote", fallback=None):
            lines.append("    remote = runs")
            remote = ["['remote \"runs\"']", f"    url = {self.dvc_remote}"]
        lines += ["[cache]", f"    dir = {self.cache}", f'    type = "{links}"', *remote]
        return "\n".join(lines) + "\n"
