"""Run the operators of a run without Airflow's components: `python flow.py RUN_ID CONF [TASK ...]`, tasks in parallel.

What Airflow would do is done here: order, parallel tasks, up to three tries after a fault. The operators are the real
ones, so that a test may kill anything and start again.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk import DAG, Asset
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from orchestration import operators
from orchestration.graph import add_stage_tasks, read_graph, upstream_of
from orchestration.project import Project

ExecutorSafeguard.test_mode = True


class Events(dict):
    """Asset events by alias, as a task adds them."""

    def __missing__(self, alias: Any) -> SimpleNamespace:
        self[alias] = SimpleNamespace(added=[])
        self[alias].add = lambda asset, extra: self[alias].added.append(extra)
        self[alias].extra = None
        return self[alias]


class Flow:
    """One run of the light DAG."""

    def __init__(self, project: Project, run_id: str, conf: dict | None = None, **run: Any) -> None:
        self.project = project
        self.run_id = run_id
        stages = read_graph(project.root / "dags" / "graph.json")
        with DAG("flow", schedule=None):
            self.prepare = operators.PrepareOperator(
                task_id="prepare",
                project=project,
                expected=upstream_of(stages),
                set_parameters=["python", "project.py", "set"],
                before_stages=[["python", "release.py", "pin", "{backfill}"]],
                commits=["data/champion.json"],
            )
            self.stages = dict(add_stage_tasks(project, stages, gate=["python", "project.py", "gate"]).by_stage)
            self.release = operators.ReleaseOperator(
                task_id="release", project=project, arguments=["python", "release.py", "apply"]
            )
            self.record = operators.RecordOperator(
                task_id="record",
                project=project,
                asset=Asset("flow"),
                released=("action", "release"),
                result_of="release",
                metrics="data/ingest/metrics.json",
            )
            self.cleanup = operators.CleanupOperator(task_id="cleanup", project=project, keep_days=7)
        self.upstream = upstream_of(stages)
        self.results: dict[str, Any] = json.loads(os.environ.get("LIGHT_RESULTS", "{}"))  # of tasks done before
        self.xcoms: dict[str, Any] = {}
        self.events = Events()
        given = {"run_type": "manual", "data_interval_end": None, **run}
        self.dag_run = SimpleNamespace(run_id=run_id, dag_id="flow", conf=conf, **given)
        self.params = conf or {}

    def context(self, task_id: str) -> dict[str, Any]:
        """What Airflow would hand to a task."""
        ti = SimpleNamespace(
            task_id=task_id,
            dag_id="flow",
            run_id=self.run_id,
            xcom_push=lambda key, value: self.xcoms.__setitem__((task_id, key), value),
            xcom_pull=lambda task_ids, key=None: self.xcoms.get((task_ids, key)) if key else self.results.get(task_ids),
        )
        return {"dag_run": self.dag_run, "params": self.params, "ti": ti, "outlet_events": self.events}

    def do(self, task: Any, tries: int = 3) -> Any:
        """Run one task, again after a fault."""
        for left in reversed(range(tries)):
            try:
                self.results[task.task_id] = task.execute(self.context(task.task_id))
                return self.results[task.task_id]
            except AirflowFailException:
                raise
            except AirflowSkipException:
                return None
            except (AirflowException, RuntimeError, OSError) as error:
                if not left:
                    raise
                print(f"TRY AGAIN {task.task_id}: {error}", flush=True)
        return None

    def do_stages(self, *, workers: int = 4) -> None:
        """Run every stage that this flow has not run yet, several at once, each after those above it."""
        done = {name for name, task in self.stages.items() if task.task_id in self.results}
        running: dict[Future[Any], str] = {}
        with ThreadPoolExecutor(workers) as pool:
            while len(done) < len(self.stages):
                for name, task in self.stages.items():
                    if name not in done and name not in running.values() and set(self.upstream[name]) <= done:
                        running[pool.submit(self.do, task)] = name
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    name = running.pop(future)
                    future.result()
                    done.add(name)

    def do_all(self, *, workers: int = 4) -> dict[str, Any]:
        """The whole run; the clean-up runs whatever came of the rest."""
        self.do(self.prepare)
        try:
            self.do_stages(workers=workers)
            self.do(self.release)
            return self.do(self.record)
        finally:
            self.do(self.cleanup)


if __name__ == "__main__":
    flow = Flow(Project.from_environment("LIGHT", root=Path.cwd()), sys.argv[1], json.loads(sys.argv[2]))
    if len(sys.argv) > 3:
        for name in sys.argv[3:]:
            flow.do(flow.stages[name] if name in flow.stages else getattr(flow, name), tries=1)
    else:
        flow.do_all()
    print("DONE", flush=True)
