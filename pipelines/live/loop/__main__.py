"""Play the whole scenario in a folder aside: `python -m pipelines.live.loop [--plan examples/loop.yaml]`, `make loop`.

Trains and releases a first champion, lets live weeks pass until the world drifts, retrains once, releases through
shadow and canary, and stops and rolls back a bad model. Exit code 0 only when the state files show every expected
event; 1 names what did not happen. Each run starts over; the folder is `loop/` in the state root.
"""

import argparse
import fcntl
import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from pipelines.runtime.errors import InputError, PerennialError


def main(arguments: list[str] | None = None) -> int:
    """Make the checkout and play the scenario in it; a known error is one message on stderr and its own exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="loop: %(message)s", force=True)
    parser = argparse.ArgumentParser(prog="python -m pipelines.live.loop", description=__doc__)
    parser.add_argument("--plan", type=Path, default=Path("examples/loop.yaml"), help="the scenario and its parameters")
    parser.add_argument("--in-checkout", type=Path, help=argparse.SUPPRESS)  # the second half, in its own checkout
    given = parser.parse_args(arguments)
    try:
        return play(given.plan, folder=given.in_checkout) if given.in_checkout else prepare(given.plan)
    except PerennialError as error:
        sys.stderr.write(f"loop: {error}\n")
        return error.exit_code


def prepare(plan_file: Path) -> int:
    """Start over in an empty folder and play the scenario there, in a process whose code and state are its own."""
    from pipelines.live.loop.checkout import environment, make_checkout
    from pipelines.live.loop.params import read_plan
    from pipelines.runtime.state import home

    plan = read_plan(plan_file)
    folder = home() / "loop"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".loop.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another loop is running in {folder}; wait for its end, or give PERENNIAL_HOME") from None
        shutil.rmtree(folder, ignore_errors=True)
        checkout, state = folder / "checkout", folder / "home"
        make_checkout(Path.cwd(), checkout, state=state, plan=plan)
        command = [sys.executable, "-m", "pipelines.live.loop", "--plan", str(plan_file.resolve())]
        return subprocess.run(
            [*command, "--in-checkout", str(folder)],
            cwd=checkout,
            env=environment(state),
            check=False,
            pass_fds=(lock.fileno(),),  # held by the scenario too: it may outlive a killed parent
        ).returncode


def play(plan_file: Path, *, folder: Path) -> int:
    """Play the scenario in the present checkout, then show what happened and hold it against what must have."""
    from pipelines.live.drift.job import load_drift_params
    from pipelines.live.loop import timeline
    from pipelines.live.loop.evidence import claims
    from pipelines.live.loop.findings import read_state
    from pipelines.live.loop.params import read_plan
    from pipelines.live.loop.scenario import ScenarioRun
    from pipelines.live.release.params import model_name
    from pipelines.runtime.params import load_resources, section
    from pipelines.runtime.runner import THREAD_VARIABLES

    for name in THREAD_VARIABLES:
        os.environ[name] = str(load_resources().threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELIZM", "false")
    warnings.filterwarnings("ignore", module="mlflow")
    scenario = read_plan(plan_file).scenario
    began = time.monotonic()
    run = ScenarioRun(scenario, int(section("ingest")["window_days"]), model_name(), say=_progress(began))
    failure = None
    try:
        run.play()
    except PerennialError as error:
        failure = str(error)
    from pipelines.live.release.registry import Registry

    state = read_state(Registry(model_name()))
    found = claims(state, scenario=scenario)
    seconds = time.monotonic() - began
    alarm = load_drift_params().alarm
    limits = {"alert": alarm.alert_excess, "breach": alarm.breach_excess}
    timeline.draw(run.events, state, scenario=scenario, limits=limits, folder=folder)
    timeline.write_data(folder / "loop.json", run.events, found, seconds=seconds, failure=failure)
    timeline.show(run.events, found, folder=folder, seconds=seconds)
    if failure is not None:
        sys.stderr.write(f"loop: the scenario broke off: {failure}\n")
    missing = [claim.name for claim in found if not claim.held]
    if missing:
        sys.stderr.write(f"loop: expected and not seen: {', '.join(missing)}\n")
    return 1 if missing or failure is not None else 0


def _progress(began: float) -> Callable[[str], None]:
    def say(line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        sys.stdout.write(f"{minutes:3d}:{seconds:02d}  {line}\n")
        sys.stdout.flush()

    return say


if __name__ == "__main__":
    raise SystemExit(main())
