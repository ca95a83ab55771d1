"""Turn the generated stage graph into tasks: one task a stage, one edge an edge, hooks where a DAG asks for them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator

from .operators import CleanupOperator, DvcStageOperator, PrepareOperator
from .project import Project

Hook = Any  # an operator, a task, a function that makes one, or a list of these
SETTINGS = {"pool", "pool_slots", "queue", "priority_weight", "retries"}  # passed on to the task as they are
KNOWN = SETTINGS | {"retry_delay_seconds", "timeout_minutes", "verdict", "after", "after_outs"}


class GraphError(ValueError):
    """The stage graph or a hook is not what it may be."""


@dataclass(frozen=True)
class StageTasks:
    """The tasks of a graph: what starts and ends it, and every stage's task by the stage's name."""

    by_stage: Mapping[str, BaseOperator]
    first: Sequence[BaseOperator]
    last: Sequence[BaseOperator]
    hooks: Sequence[BaseOperator]


def read_graph(file: Path) -> list[dict[str, Any]]:
    """Stages of a generated graph file; GraphError says how to make one."""
    try:
        return list(json.loads(file.read_text(encoding="utf-8"))["stages"])
    except (OSError, ValueError, KeyError) as error:
        raise GraphError(f"{file} cannot be read ({error}). Mend it: make graph") from error


def upstream_of(stages: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Upstream stages of each stage, by name."""
    return {stage["name"]: list(stage["upstream"]) for stage in stages}


def task_id(stage: str) -> str:
    """Task name of a stage: its own, with `_` for what Airflow does not take (`train@en`, `sub/dvc.yaml:train`)."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", stage)


def add_stage_tasks(
    project: Project,
    stages: Sequence[Mapping[str, Any]],
    *,
    before: Mapping[str, Hook] | None = None,
    after: Mapping[str, Hook] | None = None,
    overrides: str | None = None,
) -> StageTasks:
    """Add a task for each stage to the present DAG, with the edges that DVC computed.

    `before={"ingest": sensor}`: the stage waits for the hook, the hook for what the stage waits for.
    `after={"label": notify}`: the hook runs once the stage is done; nothing waits for it but the clean-up.
    """
    names = [stage["name"] for stage in stages]
    ids = {name: task_id(name) for name in names}
    if len(set(ids.values())) < len(names):
        raise GraphError(f"two stages would have one task name: {sorted(ids.items())}")
    for side, hooks in (("before", before or {}), ("after", after or {})):
        if unknown := sorted(set(hooks) - set(names)):
            raise GraphError(f"{side}: there is no stage {', '.join(unknown)}; there are: {', '.join(names)}")
    tasks = {stage["name"]: _task(project, stage, overrides=overrides) for stage in stages}
    entry: dict[str, list[BaseOperator]] = {name: [task] for name, task in tasks.items()}
    extra: list[BaseOperator] = []
    for name, hook in (before or {}).items():
        entry[name] = _made(hook)
        extra += entry[name]
        for made in entry[name]:
            made >> tasks[name]
    for stage in stages:
        for above in stage["upstream"]:
            tasks[above] >> tasks[stage["name"]]
            for made in entry[stage["name"]]:
                if made is not tasks[stage["name"]]:
                    tasks[above] >> made
    for name, hook in (after or {}).items():
        for made in _made(hook):
            tasks[name] >> made
            extra.append(made)
    with_followers = {above for stage in stages for above in stage["upstream"]}
    first = [
        made for stage in stages if not stage["upstream"] for made in {*entry[stage["name"]], tasks[stage["name"]]}
    ]
    last = [tasks[name] for name in names if name not in with_followers]
    return StageTasks(by_stage=tasks, first=first, last=last, hooks=extra)


def _task(project: Project, stage: Mapping[str, Any], *, overrides: str | None) -> DvcStageOperator:
    settings = dict(stage["airflow"])
    if unknown := sorted(set(settings) - KNOWN):
        raise GraphError(
            f"dvc.yaml: {stage['name']}: meta.airflow has {', '.join(unknown)}; it may have: {sorted(KNOWN)}"
        )
    given: dict[str, Any] = {name: value for name, value in settings.items() if name in SETTINGS}
    if "retry_delay_seconds" in settings:
        given["retry_delay"] = timedelta(seconds=settings["retry_delay_seconds"])
    if "timeout_minutes" in settings:
        given["execution_timeout"] = timedelta(minutes=settings["timeout_minutes"])
    page = f"{stage.get('desc') or ''}\n\n```\n{stage['cmd']}\n```\n\n"
    for title, key in (("Reads", "deps"), ("Writes", "outs")):
        page += f"{title}: {', '.join(f'`{path}`' for path in stage[key]) or 'nothing'}\n\n"
    return DvcStageOperator(
        task_id=task_id(stage["name"]),
        project=project,
        stage=stage["name"],
        verdict=settings.get("verdict"),
        overrides=overrides,
        doc_md=page,
        **given,
    )


def _made(hook: Hook) -> list[BaseOperator]:
    """The tasks that a hook stands for; a function (`@task` or plain) is called, here, inside the DAG."""
    if isinstance(hook, list | tuple):
        return [task for one in hook for task in _made(one)]
    if isinstance(hook, BaseOperator):
        return [hook]
    if isinstance(hook, Callable):  # type: ignore[arg-type]
        return _made(hook())
    operator = getattr(hook, "operator", None)  # what a called `@task` function gives
    if operator is None:
        raise GraphError(f"a hook is an operator, a task or a function that makes one, not {hook!r}")
    return [operator]


def add_run(
    *,
    prepare: PrepareOperator,
    work: Sequence[BaseOperator],
    ends: Sequence[BaseOperator],
    cleanup: CleanupOperator,
) -> None:
    """Put work between its set-up and its teardown: the clean-up runs whatever came of the rest."""
    for task in work:
        prepare >> task
    for task in ends:
        task >> cleanup
    prepare.as_setup()
    cleanup.as_teardown(setups=prepare)
