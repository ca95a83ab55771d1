"""Prepare a run: its workspace at its commit, with its parameters and its window, recorded and committed."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from orchestration import record
from orchestration.alerts import send
from orchestration.git import RefusedError
from orchestration.graph_check import check_graph
from orchestration.process import write_atomic
from orchestration.request import Request, RequestError, templated_overrides
from orchestration.workspace import Workspace

from .base import WorkspaceOperator, run_type


class PrepareOperator(WorkspaceOperator):
    """Make the run's workspace at its pinned commit, with its parameters and its window, and commit them.

    A run that was prepared before is restored at its last commit, whatever has changed since.

    `expected`: upstream stages of each stage as this DAG renders them; None for a DAG without stages.
    `set_parameters`: the command that applies overrides and the window to the parameter file. It is called with
    `--file FILE.json`, `--start DAY` and `--end DAY` as far as they are given; exit code 64 refuses them.
    `before_stages`: commands that run once, before the first stage; `commits` are the files that they write. An argument
    `{backfill}` is `--backfill` in a backfill, and left out of every other run.
    """

    def __init__(
        self,
        *,
        expected: Mapping[str, Sequence[str]] | None = None,
        set_parameters: Sequence[str] = (),
        before_stages: Sequence[Sequence[str]] = (),
        commits: Sequence[str] = (),
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self.expected = expected
        self.set_parameters = list(set_parameters)
        self.before_stages = [list(arguments) for arguments in before_stages]
        self.commits = list(commits)

    def execute(self, context: Any) -> dict[str, Any]:
        """Make or restore the workspace."""
        try:
            return self._prepare(context)
        except (RequestError, RefusedError) as error:  # another try would be refused too
            raise AirflowFailException(str(error)) from None

    def _prepare(self, context: Any) -> dict[str, Any]:
        request = Request.of(self._own_params(context))
        workspace = self.workspace(context)
        with workspace.clone.locked() as held:
            workspace.clone.update(keep=[held])
            # Under the lock: while another run fetches, a ref may have no value for a moment.
            known = workspace.tree.has_branch()
            base = None if known else workspace.clone.commit_of(request.ref or _deployed_commit(context) or "HEAD")
        for note in record.unrecorded(self.project):
            text = f"{note.get('dag_id')} {note.get('run_id')} began a release and did not record it"
            send(
                self.project, message=f"{text}: clear its task `record`, then compare the champion with its tag", **note
            )
        workspace.restore(base=base)
        workspace.dvc.configure()
        made = workspace.prepared()
        if made is None:
            made = self._record(context, workspace, request)
        else:
            self.log.info("this run was prepared before: it continues at its own commit %s", workspace.tree.head)
        facts = {"commit": workspace.tree.head, "branch": workspace.branch, "workspace": str(workspace.path), **made}
        for name, value in facts.items():
            self.log.info("%s: %s", name, value)
        return facts

    @staticmethod
    def _own_params(context: Any) -> dict[str, Any]:
        """Return the run parameters without those that only other tasks of the DAG read."""
        dag = context.get("dag")
        others = set(dag.params) - set(Request.__dataclass_fields__) if dag is not None else set()
        return {name: value for name, value in dict(context["params"]).items() if name not in others}

    def _record(self, context: Any, workspace: Workspace, request: Request) -> dict[str, Any]:
        base = workspace.tree.head
        window = self._window(context, request)
        graph = workspace.dvc.graph()
        templated = templated_overrides(request.overrides, templated=graph["templated"])
        if self.set_parameters and (request.overrides or window):
            self._set_parameters(workspace, request, window)
            if templated:
                graph = workspace.dvc.export_graph()
        if self.expected is not None:
            check_graph({stage["name"]: stage["upstream"] for stage in graph["stages"]}, self.expected, commit=base)
        backfill = "--backfill" if run_type(context) == "backfill" else ""
        for arguments in self.before_stages:
            given = [part.format(backfill=backfill) for part in arguments]
            self.follow(workspace, self.take_over(workspace, "prepare"), list(filter(None, given)))
        dag_run = context["dag_run"]
        made = {
            "base": base,
            "run_id": dag_run.run_id,
            "dag_id": dag_run.dag_id,
            "run_type": run_type(context),
            "ref": request.ref,
            "reason": request.reason,
            "key": request.key,
            "overrides": dict(request.overrides),
            **window,
        }
        workspace.record_preparation(made, ["params.yaml", *self.commits])
        if self.project.distributed:
            record.share(workspace, log=self.log)
        return made

    def _window(self, context: Any, request: Request) -> dict[str, str]:
        """Return `start` and `end` as far as they are given: those of the form, else the end of the data interval.

        A manual run without a window uses the window of the parameter file.
        """
        if not self.set_parameters:
            return {}
        end = request.end
        interval_end = context["dag_run"].data_interval_end
        if end is None and run_type(context) in {"scheduled", "backfill"} and interval_end is not None:
            end = interval_end.astimezone(dt.UTC).date()
        given = {"start": request.start, "end": end}
        return {name: day.isoformat() for name, day in given.items() if day is not None}

    def _set_parameters(self, workspace: Workspace, request: Request, window: Mapping[str, str]) -> None:
        """Let the project's own command change the parameter file; its exit code 64 fails the task without a retry."""
        arguments = [*self.set_parameters]
        if request.overrides:
            file = workspace.tasks / "overrides.json"
            write_atomic(file, json.dumps(dict(request.overrides), allow_nan=False))
            arguments.append(f"--file={file}")
        arguments += [f"--{name}={day}" for name, day in window.items()]
        self.follow(workspace, self.take_over(workspace, "prepare"), arguments)


def _deployed_commit(context: Any) -> str | None:
    """Return the commit of this run's DAG files, where the DAG bundle has versions."""
    version = getattr(getattr(context["ti"], "bundle_instance", None), "version", None)
    return version if isinstance(version, str) and re.fullmatch(r"[0-9a-f]{40,64}", version) else None
