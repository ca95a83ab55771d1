"""What orchestration costs: seconds a stage over the bare command, and a run in which everything is cached.

    .venv-airflow/bin/python benchmarks/orchestration.py [--components] [--json FILE]

Runs the light pipeline of the DAG tests (ten stages of next to no work), so that what is measured is everything but the
work: `dvc repro`, the settling, hashing and committing of the task, and, with --components, the scheduler's part too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "dags"), str(ROOT / "scripts"), str(ROOT / "dags")]

from lightly import TOOLS, LightRepository  # noqa: E402

from benchmarks.out import write_section  # noqa: E402

LIMIT_SECONDS = 1.5
CACHED_LIMIT_SECONDS = 30.0
NAMES = {
    "bare_stage": "a stage's bare command, median",
    "prepare": "prepare: clone, worktree, graph, first commit",
    "stage_fresh": "a stage's task that runs its command, median",
    "stage_unchanged": "a stage's task with nothing to do, median",
    "release_record_cleanup": "release, record (push) and cleanup",
    "cached_run": "a whole run with everything cached, two tasks at a time",
    "over_the_bare_stage": "a stage's task over its bare command",
}


def bare_seconds(light: LightRepository) -> float:
    """Median seconds of a stage's bare command, without DVC and without a task."""
    commands = [["python", "step.py", "ingest"], ["python", "step.py", "split", "en"], ["python", "step.py", "gate"]]
    taken = []
    for command in commands * 3:
        began = time.perf_counter()
        subprocess.run([TOOLS / command[0], *command[1:]], cwd=light.origin, check=True, env=light.environment)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def in_tasks(light: LightRepository) -> dict[str, float]:
    """Seconds of a stage task, one after the other, fresh and when everything is cached already."""
    from flow import Flow
    from orchestration.project import Project

    os.environ.update({name: value for name, value in light.environment.items() if name.startswith("LIGHT_")})
    project = Project.from_environment("LIGHT", root=light.origin)
    taken: dict[str, list[float]] = {"fresh": [], "unchanged": []}
    flow = Flow(project, "benchmark")
    began = time.perf_counter()
    flow.do(flow.prepare)
    prepared = time.perf_counter() - began
    for seconds in taken.values():
        for task in flow.stages.values():
            began = time.perf_counter()
            flow.do(task)
            seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    flow.do(flow.release)
    flow.do(flow.record)
    flow.do(flow.cleanup)
    ended = time.perf_counter() - began
    again = Flow(project, "benchmark-cached")
    began = time.perf_counter()
    again.do_all(workers=2)
    return {
        "prepare": prepared,
        "stage_fresh": statistics.median(taken["fresh"]),
        "stage_unchanged": statistics.median(taken["unchanged"]),
        "release_record_cleanup": ended,
        "cached_run": time.perf_counter() - began,
    }


def with_components(light: LightRepository) -> dict[str, float]:
    """The same under a real scheduler: from one stage's end to the next one's, and a whole cached run."""
    from airflow_local import Airflow, running
    from test_scheduler import free_port

    airflow = Airflow(light.airflow, port=free_port(), database=None, prefix="LIGHT", root=light.origin)
    found = {}
    with running(airflow):
        client = airflow.client()
        client.dags({"light"})
        for name in ("fresh", "cached"):
            run = client.trigger("light", {"overrides": {"ingest.seed": 77}})
            began = time.perf_counter()
            if client.wait("light", run, seconds=600) != "success":
                raise SystemExit(f"the run failed: {client.states('light', run)}")
            found[f"{name}_run"] = time.perf_counter() - began
            tasks = client.call("GET", f"/api/v2/dags/light/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
            times = {t["task_id"]: (_seconds(t["start_date"]), _seconds(t["end_date"])) for t in tasks}
            chain = ["prepare", "ingest", "gate"]  # nothing else runs beside a stage's own successors here
            found[f"{name}_task"] = statistics.median(end - start for start, end in times.values())
            found[f"{name}_gap"] = times[chain[1]][0] - times[chain[0]][1]
    return found


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def table(found: dict[str, float], *, load: float) -> str:
    """The section of `benchmarks/README.md`."""
    rows = "\n".join(f"| {NAMES.get(name, name)} | {seconds:.2f} |" for name, seconds in found.items())
    verdict = "kept" if kept(found) else "not kept here"
    return f"""### Orchestration (`.venv-airflow/bin/python benchmarks/orchestration.py`)

Ten stages of next to no work, so that everything but the work is measured; 2 cores, load average {load:.0f} at the end
(more than about 2 means that other work took the cores, and the seconds are too high). Wanted: at most
{LIMIT_SECONDS} s a stage over the bare command, at most {CACHED_LIMIT_SECONDS:.0f} s a cached run: **{verdict}**.

| | seconds |
|---|---|
{rows}"""


def kept(found: dict[str, float]) -> bool:
    """Whether both limits are kept."""
    return found["over_the_bare_stage"] <= LIMIT_SECONDS and found["cached_run"] <= CACHED_LIMIT_SECONDS


def main() -> int:
    """Measure, show, and fail when a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--components", action="store_true", help="under a real scheduler too (minutes)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        light = LightRepository(Path(folder) / "light").make()
        bare = bare_seconds(light)
        found = {"bare_stage": bare, **in_tasks(light)}
        found["over_the_bare_stage"] = found["stage_fresh"] - bare
        if given.components:
            light.database()
            found |= {f"scheduler_{name}": value for name, value in with_components(light).items()}
    for name, seconds in found.items():
        print(f"{name:32s} {seconds:7.2f} s")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=1) + "\n")
    write_section("orchestration", table(found, load=os.getloadavg()[0]))
    print(
        f"limits: {LIMIT_SECONDS} s a stage over the bare command, {CACHED_LIMIT_SECONDS:.0f} s a cached run:", end=" "
    )
    print("kept" if kept(found) else "EXCEEDED")
    return 0 if kept(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
