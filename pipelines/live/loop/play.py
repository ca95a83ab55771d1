"""The loop's two halves: make a separate checkout, and play the scenario in it in a process of its own."""

import fcntl
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from pipelines.runtime.errors import InputError, PerennialError
from pipelines.runtime.project import Project


def prepare(project: Project, plan_file: Path) -> int:
    """Start over in an empty folder and play the scenario there; return the exit code of that process.

    Raises InputError while another loop of the same state root is running.
    """
    from pipelines.live.loop.checkout import checkout_environment, make_checkout
    from pipelines.live.loop.params import read_plan

    plan = read_plan(plan_file)
    folder = project.state / "loop"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".loop.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another loop is running in {folder}: wait for its end, or set PERENNIAL_HOME") from None
        shutil.rmtree(folder, ignore_errors=True)
        checkout = folder / "checkout"
        environment = checkout_environment(project.environment, state=folder / "home")
        make_checkout(project.root, checkout, environment=environment, plan=plan)
        command = [sys.executable, "-m", "pipelines", "loop", "--plan", str(plan_file.resolve())]
        return subprocess.run(
            [*command, "--in-checkout", str(folder)],
            cwd=checkout,
            env=environment,
            check=False,
            pass_fds=(lock.fileno(),),  # the child holds the lock too: it may outlive a killed parent
        ).returncode


def play(project: Project, plan_file: Path, *, folder: Path) -> int:
    """Play the scenario in `project`, show the timeline, and return 1 when an expected event did not happen."""
    from pipelines.runtime.runner import fix_process

    fix_process(threads=project.resources.threads)
    warnings.filterwarnings("ignore", module="mlflow")
    from pipelines.live.drift.params import DriftParams
    from pipelines.live.loop import timeline
    from pipelines.live.loop.evidence import claims
    from pipelines.live.loop.findings import read_state
    from pipelines.live.loop.params import read_plan
    from pipelines.live.loop.scenario import ScenarioRun
    from pipelines.live.release.registry import Registry

    scenario = read_plan(plan_file).scenario
    began = time.monotonic()
    run = ScenarioRun(scenario, project, report=_progress(began))
    failure = None
    try:
        run.play()
    except PerennialError as error:
        failure = str(error)
    state = read_state(project, Registry.open(project))
    found = claims(state, scenario=scenario)
    seconds = time.monotonic() - began
    alarm = project.section("drift", DriftParams).alarm
    limits = {"alert": alarm.alert_excess, "breach": alarm.breach_excess}
    timeline.draw(run.events, state, scenario=scenario, limits=limits, folder=folder)
    timeline.write_data(folder / "loop.json", run.events, found, seconds=seconds, failure=failure)
    timeline.show(run.events, found, folder=folder, seconds=seconds)
    if failure is not None:
        sys.stderr.write(f"loop: the scenario stopped with an error: {failure}\n")
    missing = [claim.name for claim in found if not claim.held]
    if missing:
        sys.stderr.write(f"loop: expected and not seen: {', '.join(missing)}\n")
    return 1 if missing or failure is not None else 0


def _progress(began: float) -> Callable[[str], None]:
    def report(line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        sys.stdout.write(f"{minutes:3d}:{seconds:02d}  {line}\n")
        sys.stdout.flush()

    return report
