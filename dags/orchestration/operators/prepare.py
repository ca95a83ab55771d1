"""Prepare a run: its workspace at its commit, its parameters and its window, written down and committed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from orchestration import knobs, lockfile, record
from orchestration.request import Request, RequestError
from orchestration.workspace import PREPARED, Workspace, describe

from .base import WorkspaceOperator, run_type

MOST_DAYS = 100_000  # of a window: what a date can be taken back by, and more than anyone's data


class PrepareOperator(WorkspaceOperator):
    """Make the run's workspace at its pinned commit, with its parameters and its window written down and committed.

    Runs again without harm: a run that was prepared comes back at its last commit, whatever has changed since.
    """

    def __init__(
        self,
        *,
        expected: Mapping[str, Sequence[str]] | None = None,
        window: str | None = None,
        before_stages: Sequence[Sequence[str]] = (),
        commits: Sequence[str] = (),
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self.expected = expected  # stage -> upstream stages, as this DAG renders them; None: no stages here
        self.window = window  # section whose `start`, `end` and `window_days` are the window
        self.before_stages = [list(arguments) for arguments in before_stages]
        self.commits = list(commits)  # what `before_stages` writes

    def execute(self, context: Any) -> dict[str, Any]:
        """Make or bring back the workspace."""
        try:
            return self._prepare(context)
        except RequestError as error:  # asking again would not make it right
            raise AirflowFailException(str(error)) from None

    def _prepare(self, context: Any) -> dict[str, Any]:
        own = set(Request.__dataclass_fields__)
        extra = set(context["dag"].params) - own if context.get("dag") is not None else set()
        request = Request.of({name: value for name, value in dict(context["params"]).items() if name not in extra})
        workspace = self.workspace(context)
        with workspace.clone.locked() as held:
            workspace.clone.update(keep=[held])
            # Under the lock: while another run fetches, a name may stand for nothing.
            base = None if workspace.known() else workspace.clone.commit_of(request.ref or _deployed(context) or "HEAD")
        workspace.restore(base=base)
        workspace.configure()
        lockfile.mend_rwlock(workspace.path)
        made = workspace.prepared()
        if made is None:
            made = self._write_down(context, workspace, request)
        else:
            self.log.info("this run was prepared before: it goes on at its own commit %s", workspace.head)
        return {"commit": workspace.head, "branch": workspace.branch, "workspace": str(workspace.path), **made}

    def _write_down(self, context: Any, workspace: Workspace, request: Request) -> dict[str, Any]:
        base = workspace.head
        graph = workspace.graph()
        window = self._window(context, workspace, request, files=graph["parameter_files"])
        overrides = {**request.overrides, **window}
        if overrides:
            shaping = knobs.shaping(overrides, templated=graph["templated"])
            knobs.apply(workspace.path, overrides, files=graph["parameter_files"])
            if shaping:
                graph = workspace.export_graph()
        if self.expected is not None:
            workspace.ignore_outputs()
            check_graph({stage["name"]: stage["upstream"] for stage in graph["stages"]}, self.expected, commit=base)
        for arguments in self.before_stages:
            command = self.start(workspace, "prepare")
            command.settle()
            self.follow(workspace, command, arguments)
        dag_run = context["dag_run"]
        made = {
            "base": base,
            "run_id": dag_run.run_id,
            "dag_id": dag_run.dag_id,
            "run_type": run_type(context),
            "ref": request.ref,
            "reason": request.reason,
            "key": request.key,
            "overrides": {**overrides},
        }
        subject = f"run {dag_run.run_id}: prepared"
        message = f"{subject}\n\n{PREPARED}: {workspace.slug}\nRun-Request: {describe(made)}"
        workspace.commit(message, ["params.yaml", *self.commits], empty=True)
        if self.project.distributed:
            record.share(workspace, log=self.log)
        return made

    def _window(self, context: Any, workspace: Workspace, request: Request, *, files: Sequence[str]) -> dict[str, str]:
        """The window as overrides: the form's, else the data interval's end and the window's length before it."""
        if self.window is None:
            return {}
        start, end = request.start, request.end
        interval_end = context["dag_run"].data_interval_end
        if end is None and run_type(context) in {"scheduled", "backfill"} and interval_end is not None:
            end = interval_end.astimezone(dt.UTC).date()
        if end is None:
            return {}  # a run by hand without a window takes the parameter file's
        if start is None:
            start = end - dt.timedelta(days=self._window_days(workspace, request, files=files))
        return {f"{self.window}.start": start.isoformat(), f"{self.window}.end": end.isoformat()}

    def _window_days(self, workspace: Workspace, request: Request, *, files: Sequence[str]) -> int:
        knob = f"{self.window}.window_days"
        if knob in request.overrides:
            return window_length(knob, request.overrides[knob])
        for file in sorted(files, key=lambda name: name != "params.yaml"):
            tree = knobs.read(workspace.path / file)
            found, value = knobs.look_up(tree, knob)
            if found and value is not None:
                return window_length(knob, value)
        raise RequestError(
            f"no {knob} in {', '.join(files)}: a window that is given by its end needs its length in days"
        )


def window_length(knob: str, value: Any) -> int:
    """A window's length; RequestError where it is none, so that a wrong form is refused at once and not tried again."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_DAYS:
        raise RequestError(f"{knob} = {value!r}; a whole number of days from 1 to {MOST_DAYS:,} would be right")
    return value


def check_graph(actual: Mapping[str, Sequence[str]], rendered: Mapping[str, Sequence[str]], *, commit: str) -> None:
    """Refuse a commit whose stages this DAG does not render, or would run in an order that its own dvc.yaml forbids."""
    if missing := sorted(set(actual) - set(rendered)):
        raise RequestError(
            f"commit {commit[:12]} has stages that this DAG does not have: {', '.join(missing)}. "
            "The DAGs are older than it, or their graph is stale: run `make graph` and commit dags/graph.json"
        )
    above: dict[str, set[str]] = {}

    def all_above(stage: str) -> set[str]:
        if stage not in above:
            above[stage] = set()
            above[stage] = set(rendered[stage]).union(*(all_above(name) for name in rendered[stage]))
        return above[stage]

    for stage, upstream in actual.items():
        if wrong := sorted(set(upstream) - all_above(stage)):
            raise RequestError(
                f"commit {commit[:12]} runs {stage} after {', '.join(wrong)}, this DAG does not. "
                "Their graph is stale: run `make graph` and commit dags/graph.json"
            )


def _deployed(context: Any) -> str | None:
    """Commit that this run's DAG files come from, where the DAG bundle keeps versions."""
    version = getattr(getattr(context["ti"], "bundle_instance", None), "version", None)
    return version if isinstance(version, str) and re.fullmatch(r"[0-9a-f]{40,64}", version) else None
