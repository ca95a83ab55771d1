"""Where a project has its code, state and tools: read from the environment once, passed to every operator."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from .environment import clean


@dataclass(frozen=True)
class Project:
    """A DVC repository whose runs have workspaces of their own: where everything is, nothing of what it contains."""

    root: Path  # the folder with dvc.yaml and the DAGs: a checkout, or a folder of one
    home: Path  # state root, absolute
    origin: str  # git address from which runs are cloned and to which they are recorded
    tools: Path  # folder with the `dvc` and `python` of the pipeline environment
    dvc_remote: str  # for a repository whose DVC configuration names no default remote
    folder: str = "."  # of the root in its repository
    prefix: str = "PROJECT"  # of its environment variables
    exported: Mapping[str, str] = field(default_factory=dict)  # more variables of every stage
    distributed: bool = False  # True: tasks of a run may be on several hosts, which share only git and the DVC remote
    alert_address: str | None = None  # where alerts are sent: addresses of Apprise, separated by spaces
    approvers: tuple[str, ...] = ()  # users who may answer an approval; empty: every user who may edit the DAG
    schedules_from: datetime | None = None  # when Airflow was set up; None: schedules count from the DAG's own date

    @classmethod
    def from_environment(cls, prefix: str, *, root: Path) -> Project:
        """Read `<PREFIX>_HOME`, `_ROOT`, `_ORIGIN`, `_TOOLS`, `_DVC_REMOTE`, `_DISTRIBUTED` and the others below.

        Relative places start at the checkout. Raises ValueError when `<PREFIX>_HOME` is relative.
        """

        def given(name: str) -> str | None:
            return os.environ.get(f"{prefix}_{name}") or None

        def place(name: str) -> str | None:
            """Return a path as absolute, from the checkout on, and any other address as it is."""
            value = given(name)
            return value and (value if ":" in value.split("/")[0] else str(root / value))

        root = (root / (given("ROOT") or "")).resolve()
        home = Path(given("HOME") or root / f".{prefix.lower()}")
        if not home.is_absolute():
            raise ValueError(f"invalid {prefix}_HOME = {str(home)!r}: expected an absolute path")
        top, folder = place_in_repository(root)
        return cls(
            root=root,
            home=home,
            origin=place("ORIGIN") or str(top),
            folder=folder,
            tools=Path(place("TOOLS") or root / ".venv" / "bin"),
            dvc_remote=place("DVC_REMOTE") or str(home / "dvc-remote"),
            prefix=prefix,
            exported={f"{prefix}_HOME": str(home), f"{prefix}_ROOT": str(root)},
            distributed=(given("DISTRIBUTED") or "").lower() in {"1", "true", "yes", "on"},
            alert_address=given("ALERT_ADDRESS"),
            approvers=tuple((given("APPROVERS") or "").replace(",", " ").split()),
            schedules_from=datetime.fromisoformat(since) if (since := given("SCHEDULES_FROM")) else None,
        )

    def first_interval(self, cron: str) -> datetime | None:
        """Return the begin of the schedule's interval in which Airflow was set up; None without `schedules_from`.

        As a DAG's start date it makes the next time due the first run. With the time of the set-up itself as start date
        that interval would not count, and the first time due would be skipped.
        """
        from airflow.sdk import timezone
        from airflow.timetables.interval import CronDataIntervalTimetable  # the scheduler's, which computes intervals

        if self.schedules_from is None:
            return None
        table = CronDataIntervalTimetable(cron, timezone="UTC")
        # A plain datetime is not enough for a schedule that runs in every hour.
        set_up = timezone.coerce_datetime(self.schedules_from.replace(tzinfo=UTC))
        began: datetime = table.infer_manual_data_interval(run_after=set_up).end
        return began

    @property
    def actor_variable(self) -> str:
        """Environment variable in which a command finds who started its run."""
        return f"{self.prefix}_ACTOR"

    @property
    def result_variable(self) -> str:
        """Environment variable that names the file to which a command writes its result."""
        return f"{self.prefix}_RESULT_FILE"

    @property
    def runs(self) -> Path:
        """Everything that runs keep outside the repository: clone, workspaces, task records."""
        return self.home / "runs"

    @property
    def cache(self) -> Path:
        """The one DVC cache of all workspaces."""
        return self.home / "dvc-cache"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the variables of a command: a clean environment with the project's own, tools first on PATH."""
        kept = clean(os.environ)
        path = f"{self.tools}{os.pathsep}{kept.get('PATH', os.defpath)}"
        return {**kept, **self.exported, "PATH": path, **more}

    def dvc_settings(self, workspace: Path) -> str:
        """Return the text of a workspace's `.dvc/config.local`: the shared cache, and a remote if the project has
        none.
        """
        # A link to the cache is safe only where its file mode prevents an in-place write, which it does not for root.
        links = "reflink,copy" if os.geteuid() == 0 else "reflink,hardlink,copy"
        committed = configparser.ConfigParser()
        committed.read(workspace / ".dvc" / "config")
        lines = ["[core]", "    analytics = false", "    check_update = false", "    autostage = false"]
        remote = []
        if not committed.get("core", "remote", fallback=None):
            lines.append("    remote = runs")
            remote = ["['remote \"runs\"']", f"    url = {quoted(self.dvc_remote)}"]
        lines += ["[cache]", f"    dir = {quoted(str(self.cache))}", f'    type = "{links}"', *remote]
        return "\n".join(lines) + "\n"


def quoted(value: str) -> str:
    """Return a value for DVC's configuration, where a comma makes a list and `#` a comment."""
    return f"'{value}'" if '"' in value else f'"{value}"'


def place_in_repository(root: Path) -> tuple[Path, str]:
    """Return the top folder of the git repository that contains a folder, and the folder's place in it."""
    for top in (root, *root.parents):
        if (top / ".git").exists():  # a file in a worktree and in a submodule
            return top, root.relative_to(top).as_posix()
    return root, "."
