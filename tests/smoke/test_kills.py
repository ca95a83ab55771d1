"""The same bytes again: from scratch, and after kill -9 at a random moment of a stage."""

import os
import random
import signal
import subprocess
import time

import pytest
import yaml

from tests.factories.checkout import ROOT, Checkout, output_of

STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
SEED = int(os.environ.get("PERENNIAL_CHAOS_SEED", time.time()))

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.chaos, pytest.mark.timeout(3600)]


@pytest.mark.long
def test_two_runs_from_scratch_give_the_same_bytes(released, tmp_path):
    other = Checkout(tmp_path).make()
    answer = other.release("run", "--params", str(other.overlay), PYTHONHASHSEED="7", TZ="Asia/Kathmandu", LANG="C")
    assert answer.returncode == 0, output_of(answer)
    differing = {name for name, digest in released.digests().items() if other.digests().get(name) != digest}
    assert differing == set()
    assert other.digests().keys() == released.digests().keys()


# Not in every run: a stage is run twice in each.
@pytest.mark.long
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_is_made_again_with_the_same_bytes(released, tmp_path, stage):
    checkout = released.copy(tmp_path)
    killed_after = kill(checkout, stage)
    print(f"{stage}: killed after {killed_after:.2f} s (PERENNIAL_CHAOS_SEED={SEED})")
    again = checkout.dvc("repro", "--no-run-cache")
    assert again.returncode == 0, output_of(again)
    assert f"Running stage '{stage}'" in again.stdout, output_of(again)
    assert checkout.digests() == released.digests()
    left = [path for path in (checkout.root / "data").rglob("*") if path.name.endswith(".partial")]
    assert left == []


def kill(checkout, stage):
    """Kill a stage at a random moment of its run; how long it had run. One that was faster than that is run again."""
    draw, longest = random.Random(f"{SEED} {stage}"), 6.0
    for _ in range(5):
        # As if it had never run: without a line in the lock and without the run cache, DVC has nothing to take it from.
        checkout.edit("dvc.lock", lambda lock: lock["stages"].pop(stage))
        ran, finished = kill_after(checkout, stage, seconds=draw.uniform(0.05, longest))
        if not finished:
            return ran
        longest = 0.8 * ran
    raise AssertionError(f"{stage} ended five times before it could be killed, the last time in {ran:.2f} s")


def kill_after(checkout, stage, *, seconds):
    """Run one stage through DVC and kill both after some seconds; how long it ran, and whether it was at its end."""
    process = subprocess.Popen(
        checkout.command("dvc", "repro", "--no-run-cache", "--single-item", stage),
        cwd=checkout.root,
        env=checkout.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    for line in process.stdout:
        if line.startswith(f"> python -m pipelines.stages.{stage}"):
            break
    began = time.monotonic()
    while process.poll() is None and (time.monotonic() < began + seconds or not ready(checkout, stage)):
        time.sleep(0.02)
    ran, finished = time.monotonic() - began, process.poll() is not None
    if not finished:
        os.killpg(process.pid, signal.SIGKILL)
    rest = process.stdout.read()
    process.stdout.close()
    process.wait()
    assert not finished or process.returncode == 0, rest
    return ran, finished


def ready(checkout, stage):
    """Fine-tuning is killed when there is a checkpoint to go on from, any other stage at once."""
    return stage != "finetune" or any(checkout.home.rglob("state.safetensors"))
