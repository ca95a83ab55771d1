"""Tasks of a run: prepare a workspace, run a stage, ask a person, release, record, clean up."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Asset, AssetAlias, BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from . import collect, knobs, lockfile, record
from .gate import Gate
from .process import Command, end_all, locked
from .project import Project
from .request import Request, RequestError
from .workspace import PREPARED, Workspace, WorkspaceError, describe

FINAL = (64, 65, 66)  # exit codes that a second try cannot change: wrong parameters, a closed gate before it, bad input
SHOWN_LINES = 12
# What DVC tells a person at a terminal to do next; here it has been done.
ADVICE = ("To track the changes", "To enable auto staging", "git add ", "dvc config core.autostage", "Use `dvc push`")
DVC_SAYS = ("ERROR: failed to reproduce", "ERROR: failed to run")  # below what the stage itself said


class WorkspaceOperator(BaseOperator):
    """A task that works in the workspace of its run."""

    def __init__(self, *, project: Project, final_exit_codes: Sequence[int] = FINAL, **rest: Any) -> None:
        super().__init__(**rest)
        self.project = project
        self.final_exit_codes = tuple(final_exit_codes)
        self._command: Command | None = None

    def workspace(self, context: Any) -> Workspace:
        """The workspace of the context's run."""
        return Workspace(self.project, context["dag_run"].run_id)

    def start(self, workspace: Workspace, name: str) -> Command:
        """The command of that name in this run, with everything ended that an earlier try has left."""
        self._command = Command(mark=workspace.mark(name), folder=workspace.tasks, name=name)
        return self._command

    def follow(self, workspace: Workspace, command: Command, arguments: Sequence[str]) -> list[str]:
        """Run the command to its end and log what it says; raises with its last lines when it fails."""
        last: deque[str] = deque(maxlen=400)
        with locked(collect.guard(self.project), shared=True) as held:  # no collection while a command writes the cache
            command.start(arguments, folder=workspace.path, environment=workspace.environment(), keep=[held])
            for line in command.lines():
                if line.strip() and not line.strip().startswith(ADVICE):
                    self.log.info("%s", line)
                last.append(line)
            status = command.wait()
        if status:
            self._fail(status, list(last), arguments)
        return list(last)

    def _fail(self, status: int, lines: list[str], arguments: Sequence[str]) -> None:
        inner = [int(found[1]) for line in lines if (found := re.search(r"exited with (-?\d+)", line))]
        code = inner[-1] if inner else status
        shown = "\n".join(line for line in lines if line.strip())[-3000:].splitlines()[-SHOWN_LINES:]
        said = "\n".join(shown)
        if "No space left on device" in said or code == 74:
            said += (
                f"\nThe disk is full or refuses: free space below {self.project.home}; the next try goes on from here."
            )
        told = [line.strip() for line in shown if not line.startswith(DVC_SAYS)]
        message = f"{self.task_id}: {Path(arguments[0]).name} ended with exit code {code}"
        message += f": {told[-1][:300]}\n{said}" if told else f"\n{said}"
        raise (AirflowFailException if code in self.final_exit_codes else AirflowException)(message)

    def on_kill(self) -> None:
        """Take the command along when Airflow ends the task."""
        if self._command is not None:
            self._command.end()


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
            "run_type": _run_type(context),
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
        if end is None and _run_type(context) in {"scheduled", "backfill"} and interval_end is not None:
            end = interval_end.astimezone(dt.UTC).date()
        if end is None:
            return {}  # a run by hand without a window takes the parameter file's
        if start is None:
            start = end - dt.timedelta(days=self._window_days(workspace, request, files=files))
        return {f"{self.window}.start": start.isoformat(), f"{self.window}.end": end.isoformat()}

    def _window_days(self, workspace: Workspace, request: Request, *, files: Sequence[str]) -> int:
        knob = f"{self.window}.window_days"
        if knob in request.overrides:
            return int(request.overrides[knob])
        for file in sorted(files, key=lambda name: name != "params.yaml"):
            tree = knobs.read(workspace.path / file)
            found, value = knobs.look_up(tree, knob)
            if found and value is not None:
                return int(value)
        raise RequestError(
            f"no {knob} in {', '.join(files)}: a window that is given by its end needs its length in days"
        )


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


def _run_type(context: Any) -> str:
    kind = context["dag_run"].run_type
    return str(getattr(kind, "value", kind))


class VerdictLink(BaseOperatorLink):
    """From a gate's task to what its gate found."""

    name = "Verdict"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The task's XCom page, where `gate` holds the checks and records."""
        return f"/dags/{ti_key.dag_id}/runs/{ti_key.run_id}/tasks/{ti_key.task_id}/xcom"


class DvcStageOperator(WorkspaceOperator):
    """Run one stage with `dvc repro -s` and commit what it wrote; a closed gate fails at once and says why."""

    ui_color = "#e8f1ff"
    operator_extra_links = (VerdictLink(),)

    def __init__(self, *, stage: str, verdict: str | None = None, overrides: str | None = None, **rest: Any) -> None:
        super().__init__(**rest)
        self.stage = stage
        self.verdict = verdict
        self.overrides = overrides

    def execute(self, context: Any) -> dict[str, Any]:
        """Settle what an earlier try left, run the stage, prove its lock entry, commit, read its gate."""
        workspace = self.workspace(context)
        restored = workspace.restore()
        if self.stage not in workspace.stages:
            self.log.warning("this run's commit has no stage %r: nothing to do", self.stage)
            return {"stage": self.stage, "outcome": "absent", "commit": workspace.head}
        command = self.start(workspace, self.stage)
        if command.settle():
            workspace.mend(stage=self.stage)
        else:
            lockfile.mend_rwlock(workspace.path)
        if self.project.distributed:
            record.catch_up(workspace)
        arguments = [workspace.dvc, "--cd", str(workspace.path), "--wait-for-lock", "repro", "--single-item"]
        if restored or self.project.distributed or workspace.lacks_inputs(self.stage):
            # Another host has the files: fetch them. Never --allow-missing: a stage that never ran would count as done.
            workspace.fetch_inputs(self.stage)
            arguments.append("--pull")
        outcome = _outcome(self.follow(workspace, command, [*arguments, self.stage]))
        with workspace.dvc_locked():
            found = lockfile.entry(workspace.path, self.stage)
        if wrong := lockfile.mismatches(workspace.path, self.stage, found=found, project=self.project):
            raise AirflowException(f"{self.stage}: its lock entry is not what is on disk:\n" + "\n".join(wrong))
        stage = workspace.stages[self.stage]
        named = [lockfile.address(self.stage)[0], "params.yaml", *stage["git_outs"]]
        commit = workspace.commit(f"{self.stage}: {outcome}", named)
        if self.project.distributed:
            commit = record.share(workspace, stage=self.stage, log=self.log)
        self._read_gate(context, workspace, stage)
        return {"stage": self.stage, "outcome": outcome, "commit": commit}

    def _read_gate(self, context: Any, workspace: Workspace, stage: Mapping[str, Any]) -> None:
        verdict = stage["airflow"].get("verdict", self.verdict)
        if verdict is None:
            return
        gate = Gate.read(workspace.path, stage=self.stage, verdict=verdict, overrides=self.overrides)
        self.log.info("%s", gate.page(records=False))
        if gate.overridden_by:
            self.log.warning("the gate is closed, and let pass by the override record %s", gate.overridden_by)
        if not gate.passed:
            context["ti"].xcom_push(key="gate", value=gate.evidence())
            raise AirflowFailException(gate.reason())


def _outcome(lines: Sequence[str]) -> str:
    if any("is cached - skipping run" in line for line in lines):
        return "from the run cache"
    return "ran" if any(line.startswith("Running stage") for line in lines) else "unchanged"


class ApproveOperator(ApprovalOperator):
    """Ask a person, with the evidence in front of them; without the run parameter `approval` nobody is asked."""

    def __init__(
        self,
        *,
        project: Project,
        decision: tuple[str, str, str],
        evidence: Sequence[str],
        overrides: str | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(body="", **rest)
        self.project = project
        self.overrides = overrides  # folder of records that let a closed gate pass
        self.decision = decision  # file, key and value of a decision that there is something to approve for
        self.evidence = list(evidence)

    def execute(self, context: Any) -> Any:
        """Wait for an answer where one is asked for."""
        if not context["params"].get("approval") or _run_type(context) == "backfill":
            self.log.info("no approval is asked for in this run")
            return None
        workspace = Workspace(self.project, context["dag_run"].run_id)
        workspace.restore()
        file, key, wanted = self.decision
        decided = _read(workspace.path / file)
        if decided.get(key) != wanted:
            self.log.info("%s says %s = %r: there is nothing to approve", file, key, decided.get(key))
            return None
        self.body = self._page(workspace, decided)
        return super().execute(context)

    def _page(self, workspace: Workspace, decided: Mapping[str, Any]) -> str:
        plain = {name: value for name, value in decided.items() if not isinstance(value, dict | list)}
        made = workspace.prepared() or {}
        parts = [
            f"**Reason of the run:** {made.get('reason') or 'none given'} (commit `{workspace.head[:12]}`)",
            "\n".join(["| decision | |", "|---|---|", *(f"| {name} | {value} |" for name, value in plain.items())]),
        ]
        gates = [
            Gate.read(workspace.path, stage=stage["name"], verdict=verdict, overrides=self.overrides)
            for stage in workspace.stages.values()
            if (verdict := stage["airflow"].get("verdict"))
        ]
        parts.append("\n".join(["| gate | | checks | |", "|---|---|---|---|", *(gate.row() for gate in gates)]))
        for name in self.evidence:
            text = json.dumps(_read(workspace.path / name), indent=1, ensure_ascii=False)
            parts.append(f"### {name}\n```json\n{text[:6000]}\n```")
        parts += [f"### {gate.stage}\n{gate.page()}" for gate in reversed(gates)]  # the last gate stands nearest to it
        return "\n\n".join(parts)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {"content": found}


class CommandOperator(WorkspaceOperator):
    """Run an argument list in the workspace, outside DVC; the JSON object that it ends with is the task's result."""

    template_fields = ("arguments",)

    def __init__(self, *, arguments: Sequence[str], **rest: Any) -> None:
        super().__init__(**rest)
        self.arguments = list(arguments)

    def execute(self, context: Any) -> dict[str, Any]:
        """Settle what an earlier try left and run the command."""
        for argument in self.arguments:
            if "\0" in argument or any("\ud800" <= letter <= "\udfff" for letter in argument):
                raise AirflowFailException(f"{self.task_id}: {argument!r} is no text that a program can be given")
        workspace = self.workspace(context)
        workspace.restore()
        command = self.start(workspace, self.task_id)
        command.settle()
        return _last_object(self.follow(workspace, command, self.arguments))


def _last_object(lines: Sequence[str]) -> dict[str, Any]:
    """The JSON object that stands at the end of an output, or an empty one."""
    text = "\n".join(lines)
    for found in reversed(list(re.finditer(r"(?m)^\{", text))):
        try:
            value, _ = json.JSONDecoder().raw_decode(text[found.start() :])
        except ValueError:
            continue
        return value if isinstance(value, dict) else {}
    return {}


class ReleaseOperator(CommandOperator):
    """Carry out the decision of a run; a backfill never does."""

    ui_color = "#e6ffe6"

    def execute(self, context: Any) -> dict[str, Any]:
        """Run the release command, unless this run is a backfill."""
        if _run_type(context) == "backfill":
            raise AirflowSkipException("a backfill never releases")
        return super().execute(context)


class RecordOperator(WorkspaceOperator):
    """Make a run replayable elsewhere: its data, then its branch and tag, then the asset event of a release."""

    def __init__(
        self, *, asset: Asset, released: tuple[str, str], result_of: str, metrics: str | None = None, **rest: Any
    ) -> None:
        self.alias = AssetAlias(f"{asset.name}-released")
        super().__init__(outlets=[self.alias], **rest)
        self.asset = asset
        self.released = released  # key and value of the release task's result that make it a promotion
        self.result_of = result_of
        self.metrics = metrics

    def execute(self, context: Any) -> dict[str, Any]:
        """Push everything; every step may run again."""
        workspace = self.workspace(context)
        workspace.restore()
        result = context["ti"].xcom_pull(task_ids=self.result_of) or {}
        key, wanted = self.released
        promoted = result.get(key) == wanted
        record.tidy(workspace)
        command = self.start(workspace, self.task_id)
        command.settle()
        lockfile.mend_rwlock(workspace.path)
        self.follow(
            workspace, command, [workspace.dvc, "--cd", str(workspace.path), "--wait-for-lock", "push", "--run-cache"]
        )
        tag = record.push(workspace, promoted=promoted)
        made = {"revision": workspace.head, "branch": workspace.branch, "tag": tag}
        if promoted:
            metrics = _read(workspace.path / self.metrics) if self.metrics else {}
            extra = {"revision": workspace.head, "tag": tag, "version": result.get("version"), "metrics": metrics}
            context["outlet_events"][self.alias].add(self.asset, extra=extra)
            made["version"] = result.get("version")
        return made


class CleanupOperator(WorkspaceOperator):
    """Leave nothing running and, once all is recorded, nothing on disk; a failed run's workspace stays a while."""

    def __init__(self, *, keep_days: float, keep_without_changes: bool = False, **rest: Any) -> None:
        super().__init__(**rest)
        self.keep_days = keep_days
        self.keep_without_changes = keep_without_changes

    def execute(self, context: Any) -> str:
        """End what runs, remove what is recorded, and remove workspaces whose time is up."""
        workspace = self.workspace(context)
        end_all(workspace.mark(), prefix=True)
        if workspace.recorded() or (not self.keep_without_changes and _untouched(workspace)):
            workspace.remove(forget=True)
            said = "removed: its branch is at the origin, a later task brings it back"
        else:
            said = f"kept for {self.keep_days:g} days at {workspace.path}"
        expired = collect.expired(self.project, days=self.keep_days, besides=workspace.slug)
        for name in expired:
            try:
                collect.remove_expired(self.project, name)
            except WorkspaceError as error:
                self.log.warning("%s", error)
        self.log.info("workspace of this run: %s; others whose time was up: %s", said, ", ".join(expired) or "none")
        return said


def _untouched(workspace: Workspace) -> bool:
    """True when the run wrote nothing but its own `prepare` commit: there is nothing to look at."""
    made = workspace.prepared() if workspace.exists else None
    return made is not None and workspace.changes_since(made["base"]) == []
