"""Turn the generated stage graph into tasks: one task per stage, DVC's own order, hooks where a DAG asks for them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator

from .graph_check import ancestors
from .operators import ApproveOperator, CleanupOperator, DvcStageOperator, OutcomeOperator, PrepareOperator
from .project import Project

Hook = Any  # an operator, a task, a function that makes one, or a list of these
SETTINGS = {"pool", "pool_slots", "queue", "priority_weight", "retries"}  # passed to the task unchanged
KNOWN = SETTINGS | {"retry_delay_seconds", "timeout_minutes", "verdict", "after", "after_outs"}


class GraphError(ValueError):
    """The stage graph, a stage's settings or a hook is invalid."""


@dataclass(frozen=True)
class StageTasks:
    """The tasks of a graph: those that start and end it, and every stage's task by the stage's name."""

    by_stage: Mapping[str, BaseOperator]
    first: Sequence[BaseOperator]
    last: Sequence[BaseOperator]
    hooks: Sequence[BaseOperator]


def summary(page: str | None) -> str:
    """Return the first sentence of a DAG's page, below its title, for the list of DAGs."""
    paragraphs = (page or "").strip().split("\n\n")
    return " ".join(paragraphs[1].split()).split(". ")[0].rstrip(".") if len(paragraphs) > 1 else ""


def read_graph(file: Path) -> list[dict[str, Any]]:
    """Return the stages of a generated graph file; GraphError names the command that generates it."""
    try:
        return list(json.loads(file.read_text(encoding="utf-8"))["stages"])
    except (OSError, ValueError, KeyError) as error:
        raise GraphError(f"{file} cannot be read ({error}). Generate it: make graph") from error


def upstream_of(stages: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return all upstream stages of each stage, by name."""
    return {stage["name"]: list(stage["upstream"]) for stage in stages}


def direct_upstream(upstream: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return the transitive reduction: of each stage's upstream those that no other upstream stage already waits for."""
    above = ancestors(upstream)
    return {
        stage: [name for name in names if not any(name in above[other] for other in names)]
        for stage, names in ((stage, list(names)) for stage, names in upstream.items())
    }


def task_id(stage: str) -> str:
    """Return the task id of a stage: its name with `_` for each character Airflow refuses (`train@en`, `sub/dvc.yaml:train`)."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", stage)


def add_stage_tasks(
    project: Project,
    stages: Sequence[Mapping[str, Any]],
    *,
    gate: Sequence[str] = (),
    before: Mapping[str, Hook] | None = None,
    after: Mapping[str, Hook] | None = None,
) -> StageTasks:
    """Add a task for each stage to the current DAG, in the order that DVC computed.

    `gate`: the command that answers whether the gate of a stage is open; the stage's name is appended.
    `before={"ingest": sensor}`: the stage waits for the hook, and the hook for what the stage waits for.
    `after={"label": notify}`: the hook runs once the stage has succeeded; only the clean-up waits for it.

    Raises GraphError for an unknown stage or setting, and for a stage with a verdict when there is no gate command.
    """
    names = [stage["name"] for stage in stages]
    ids = {name: task_id(name) for name in names}
    if len(set(ids.values())) < len(names):
        raise GraphError(f"two stages have the same task id: {sorted(ids.items())}")
    for side, given in (("before", before or {}), ("after", after or {})):
        if unknown := sorted(set(given) - set(names)):
            raise GraphError(f"{side}: unknown stage {', '.join(unknown)}: expected one of {', '.join(names)}")
    tasks = {stage["name"]: _task(project, stage, gate=gate) for stage in stages}
    upstream = direct_upstream(upstream_of(stages))
    entry: dict[str, list[BaseOperator]] = {name: [task] for name, task in tasks.items()}
    for name, hook in (before or {}).items():
        entry[name] = _tasks_of(hook)
        entry[name] >> tasks[name]
    for name, names_above in upstream.items():
        for above in names_above:
            tasks[above] >> entry[name]
    following = {name: _tasks_of(hook) for name, hook in (after or {}).items()}
    for name, made in following.items():
        tasks[name] >> made
    hooks = [made for name in before or {} for made in entry[name]] + [
        one for made in following.values() for one in made
    ]
    first = [made for name in names if not upstream[name] for made in entry[name]]
    with_followers = {above for names_above in upstream.values() for above in names_above}
    last = [tasks[name] for name in names if name not in with_followers]
    return StageTasks(by_stage=tasks, first=first, last=last, hooks=hooks)


def _task(project: Project, stage: Mapping[str, Any], *, gate: Sequence[str]) -> DvcStageOperator:
    settings = dict(stage["airflow"])
    if unknown := sorted(set(settings) - KNOWN):
        raise GraphError(
            f"dvc.yaml: {stage['name']}: unknown setting {', '.join(unknown)} in meta.airflow: "
            f"expected some of {', '.join(sorted(KNOWN))}"
        )
    if "verdict" in settings and not gate:
        raise GraphError(f"stage {stage['name']} has a verdict: add_stage_tasks needs the gate command")
    given: dict[str, Any] = {name: value for name, value in settings.items() if name in SETTINGS}
    if "retry_delay_seconds" in settings:
        given["retry_delay"] = timedelta(seconds=settings["retry_delay_seconds"])
    if "timeout_minutes" in settings:
        given["execution_timeout"] = timedelta(minutes=settings["timeout_minutes"])
    page = f"{stage.get('desc') or ''}\n\n```\n{stage['cmd']}\n```\n\n"
    for title, key in (("Reads", "deps"), ("Writes", "outs")):
        page += f"{title}: {', '.join(f'`{path}`' for path in stage[key]) or 'nothing'}\n\n"
    return DvcStageOperator(
        task_id=task_id(stage["name"]), project=project, stage=stage["name"], gate=gate, doc_md=page, **given
    )


def _tasks_of(hook: Hook) -> list[BaseOperator]:
    """Return the tasks of a hook; a function (`@task` or plain) is called here, inside the DAG."""
    if isinstance(hook, list | tuple):
        return [task for one in hook for task in _tasks_of(one)]
    if isinstance(hook, BaseOperator):
        return [hook]
    if isinstance(hook, Callable):  # type: ignore[arg-type]
        return _tasks_of(hook())
    operator = getattr(hook, "operator", None)  # of the value that a called `@task` function returns
    if operator is None:
        raise GraphError(f"invalid hook {hook!r}: expected an operator, a task, or a function that makes one")
    return [operator]


def add_run(
    *,
    prepare: PrepareOperator,
    work: Sequence[BaseOperator],
    ends: Sequence[BaseOperator],
    cleanup: CleanupOperator,
    required: Sequence[BaseOperator] | None = None,
    approval: ApproveOperator | None = None,
) -> None:
    """Put work between its set-up and its teardown: the clean-up runs whatever the outcome of the rest.

    The run is a success when the tasks of `required` are (default: the first of `ends`), and when no person has rejected
    it in the task `approval`.
    """
    names = [task.task_id for task in required or ends[:1]]
    asked = approval.task_id if approval else None
    outcome = OutcomeOperator(task_id="outcome", required=names, approval=asked, project=prepare.project)
    prepare >> list(work)
    list(ends) >> cleanup >> outcome
    prepare.as_setup()
    cleanup.as_teardown(setups=prepare)
    outcome.as_teardown(setups=prepare, on_failure_fail_dagrun=True)
