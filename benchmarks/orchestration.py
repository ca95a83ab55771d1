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

from lightly import TOOLS, LightRepository, free_port  # noqa: E402

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


class Clock:
    """Seconds of the wall and of the processor, children included, between two looks."""

    def __init__(self) -> None:
        self.look()

    def look(self) -> tuple[float, float]:
        """Both kinds of seconds since the last look."""
        now = (time.perf_counter(), sum(os.times()[:4]))
        passed = tuple(b - a for a, b in zip(getattr(self, "last", now), now, strict=True))
        self.last = now
        return passed[0], passed[1]


def median(taken: list[tuple[float, float]]) -> tuple[float, float]:
    """Median of the wall's seconds and of the processor's."""
    return statistics.median(wall for wall, _ in taken), statistics.median(cpu for _, cpu in taken)


def bare_seconds(light: LightRepository) -> tuple[float, float]:
    """Median seconds of a stage's bare command, without DVC and without a task."""
    commands = [["python", "step.py", "ingest"], ["python", "step.py", "split", "en"], ["python", "step.py", "gate"]]
    taken, clock = [], Clock()
    for command in commands * 3:
        clock.look()
        subprocess.run([TOOLS / command[0], *command[1:]], cwd=light.origin, check=True, env=light.environment)
        taken.append(clock.look())
    return median(taken)


def in_tasks(light: LightRepository) -> dict[str, tuple[float, float]]:
    """Seconds of a stage task, one after the other, fresh and when everything is cached already."""
    from flow import Flow
    from orchestration.project import Project

    os.environ.update({name: value for name, value in light.environment.items() if name.startswith("LIGHT_")})
    project = Project.from_environment("LIGHT", root=light.origin)
    taken: dict[str, list[tuple[float, float]]] = {"fresh": [], "unchanged": []}
    flow = Flow(project, "benchmark")
    clock = Clock()
    flow.do(flow.prepare)
    prepared = clock.look()
    for seconds in taken.values():
        for task in flow.stages.values():
            clock.look()
            flow.do(task)
            seconds.append(clock.look())
    clock.look()
    flow.do(flow.release)
    flow.do(flow.record)
    flow.do(flow.cleanup)
    ended = clock.look()
    again = Flow(project, "benchmark-cached")
    again.do_all(workers=2)
    return {
        "prepare": prepared,
        "stage_fresh": median(taken["fresh"]),
        "stage_unchanged": median(taken["unchanged"]),
        "release_record_cleanup": ended,
        "cached_run": clock.look(),
    }


def with_components(light: LightRepository) -> dict[str, tuple[float, float]]:
    """The same under a real scheduler: from one stage's end to the next one's, and a whole cached run."""
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
            chain = ["prepare", "ingest", "gate"]  # nothing else runs beside a stage's own successors here
            found[f"{name}_task"] = (statistics.median(end - start for start, end in times.values()), float("nan"))
            found[f"{name}_gap"] = (times[chain[1]][0] - times[chain[0]][1], float("nan"))
    return found


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def table(found: dict[str, tuple[float, float]], *, load: float) -> str:
    """The section of `benchmarks/README.md`."""
    rows = "\n".join(
        f"| {NAMES.get(name, name)} | {wall:.2f} | {'' if cpu != cpu else f'{cpu:.2f}'} |"
        for name, (wall, cpu) in found.items()
    )
    verdict = "kept" if kept(found) else "not kept here"
    return f"""### Orchestration (`.venv-airflow/bin/python benchmarks/orchestration.py`)

Ten stages of next to no work, so that everything but the work is measured; 2 cores, load average {load:.0f} at the end
(more than about 2 means that other work took the cores, and the seconds are too high; processor seconds, of all
processes below it, hardly feel that). Wanted: at most
{LIMIT_SECONDS} s a stage over the bare command, at most {CACHED_LIMIT_SECONDS:.0f} s a cached run: **{verdict}**.

| | seconds | processor seconds |
|---|---|---|
{rows}"""


def kept(found: dict[str, tuple[float, float]]) -> bool:
    """Whether both limits are kept."""
    return found["over_the_bare_stage"][0] <= LIMIT_SECONDS and found["cached_run"][0] <= CACHED_LIMIT_SECONDS


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
        f"limits: {LIMIT_SECONDS} s a stage over the bare command, {CACHED_LIMIT_SECONDS:.0f} s a cached run:", end=" "
    )
    print("kept" if kept(found) else "EXCEEDED")
    return 0 if kept(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
