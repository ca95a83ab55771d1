"""Cost of orchestration: seconds per stage over the bare command, and of a run in which everything is cached.

    .venv-airflow/bin/python -m benchmarks.orchestration [--components] [--json FILE]

Runs the light pipeline of the DAG tests (ten stages with almost no work), so that everything except the work is
measured: `dvc repro`, the task's checks, hashing and commits, and, with --components, the scheduler's part too.
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
sys.path[:0] = [str(ROOT / "tests" / "dags"), str(ROOT / "scripts"), str(ROOT / "dags")]

from light_repository import TOOLS, LightRepository, free_port  # noqa: E402

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
    "over_the_bare_stage": "a stage's task minus its bare command",
}


class Clock:
    """Wall seconds and processor seconds, children included, between two calls of `lap`."""

    def __init__(self) -> None:
        self.lap()

    def lap(self) -> tuple[float, float]:
        """Return wall seconds and processor seconds since the last call."""
        now = (time.perf_counter(), sum(os.times()[:4]))
        passed = tuple(b - a for a, b in zip(getattr(self, "last", now), now, strict=True))
        self.last = now
        return passed[0], passed[1]


def median(taken: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the medians of wall seconds and of processor seconds."""
    return statistics.median(wall for wall, _ in taken), statistics.median(cpu for _, cpu in taken)


def bare_seconds(light: LightRepository) -> tuple[float, float]:
    """Return the median seconds of a stage's bare command, without DVC and without a task."""
    commands = [["python", "step.py", "ingest"], ["python", "step.py", "split", "en"], ["python", "step.py", "gate"]]
    taken, clock = [], Clock()
    for command in commands * 3:
        clock.lap()
        subprocess.run([TOOLS / command[0], *command[1:]], cwd=light.origin, check=True, env=light.environment)
        taken.append(clock.lap())
    return median(taken)


def in_tasks(light: LightRepository) -> dict[str, tuple[float, float]]:
    """Return the seconds of stage tasks in sequence, for a fresh run and when everything is cached."""
    from flow import Flow
    from orchestration.project import Project

    os.environ.update({name: value for name, value in light.environment.items() if name.startswith("LIGHT_")})
    project = Project.from_environment("LIGHT", root=light.origin)
    taken: dict[str, list[tuple[float, float]]] = {"fresh": [], "unchanged": []}
    flow = Flow(project, "benchmark")
    clock = Clock()
    flow.do(flow.prepare)
    prepared = clock.lap()
    for seconds in taken.values():
        for task in flow.stages.values():
            clock.lap()
            flow.do(task)
            seconds.append(clock.lap())
    clock.lap()
    flow.do(flow.release)
    flow.do(flow.record)
    flow.do(flow.cleanup)
    ended = clock.lap()
    again = Flow(project, "benchmark-cached")
    again.do_all(workers=2)
    return {
        "prepare": prepared,
        "stage_fresh": median(taken["fresh"]),
        "stage_unchanged": median(taken["unchanged"]),
        "release_record_cleanup": ended,
        "cached_run": clock.lap(),
    }


def with_components(light: LightRepository) -> dict[str, tuple[float, float]]:
    """Return the same under a real scheduler: from one stage's end to the next one's, and for a whole cached run."""
    from airflow_local import Airflow, running

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
            found[f"{name}_run"] = (time.perf_counter() - began, float("nan"))
            tasks = client.call("GET", f"/api/v2/dags/light/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
            times = {t["task_id"]: (_seconds(t["start_date"]), _seconds(t["end_date"])) for t in tasks}
            chain = ["prepare", "ingest", "gate"]  # nothing else runs at the same time here
            found[f"{name}_task"] = (statistics.median(end - start for start, end in times.values()), float("nan"))
            found[f"{name}_gap"] = (times[chain[1]][0] - times[chain[0]][1], float("nan"))
    return found


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def table(found: dict[str, tuple[float, float]], *, load: float) -> str:
    """Return the section of benchmarks/README.md."""
    rows = "\n".join(
        f"| {NAMES.get(name, name)} | {wall:.2f} | {'' if cpu != cpu else f'{cpu:.2f}'} |"
        for name, (wall, cpu) in found.items()
    )
    verdict = "met" if limits_met(found) else "not met here"
    return f"""## Orchestration (`.venv-airflow/bin/python -m benchmarks.orchestration`)

Ten stages with almost no work, so that everything except the work is measured; 2 cores, load average {load:.0f} at the
end (more than about 2 means that other work used the cores and the wall seconds are too high; processor seconds, of all
child processes, are hardly affected). Limits: {LIMIT_SECONDS} s per stage over the bare command, {CACHED_LIMIT_SECONDS:.0f} s for a
cached run: **{verdict}**.

| | seconds | processor seconds |
|---|---|---|
{rows}"""


def limits_met(found: dict[str, tuple[float, float]]) -> bool:
    """Return whether both limits are met."""
    return found["over_the_bare_stage"][0] <= LIMIT_SECONDS and found["cached_run"][0] <= CACHED_LIMIT_SECONDS


def main() -> int:
    """Measure, print, and return 1 when a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--components", action="store_true", help="under a real scheduler too (minutes)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        light = LightRepository(Path(folder) / "light").make()
        bare = bare_seconds(light)
        found = {"bare_stage": bare, **in_tasks(light)}
        found["over_the_bare_stage"] = (found["stage_fresh"][0] - bare[0], found["stage_fresh"][1] - bare[1])
        if given.components:
            light.database()
            found |= {f"scheduler_{name}": value for name, value in with_components(light).items()}
    for name, (wall, cpu) in found.items():
        print(f"{name:32s} {wall:7.2f} s {cpu:7.2f} s of the processor")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({name: round(wall, 3) for name, (wall, _) in found.items()}, indent=1) + "\n")
    write_section("orchestration", table(found, load=os.getloadavg()[0]))
    print(
        f"limits: {LIMIT_SECONDS} s per stage over the bare command, {CACHED_LIMIT_SECONDS:.0f} s for a cached run:",
        end=" ",
    )
    print("met" if limits_met(found) else "EXCEEDED")
    return 0 if limits_met(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
