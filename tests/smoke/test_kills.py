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
    """Kill a stage at a random moment of its run and return how long it had run; one that ended first is run again."""
    draw, longest = random.Random(f"{SEED} {stage}"), 6.0
    while True:  # ends: the moment of the kill is drawn from an ever shorter time, at last from that of an import
        # As if it had never run: without a line in the lock and without the run cache, DVC has no result to restore.
        checkout.edit("dvc.lock", lambda lock: lock["stages"].pop(stage))
        ran, finished = kill_after(checkout, stage, seconds=draw.uniform(0.0, longest))
        if not finished:
            return ran
        longest = min(longest, ran) / 2


def kill_after(checkout, stage, *, seconds):
    """Run one stage through DVC and kill both after some seconds; return how long it ran, and whether it had ended."""
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
    """Return whether the stage may be killed: fine-tuning once it has a checkpoint to continue from, others at once."""
    return stage != "finetune" or any(checkout.home.rglob("state.safetensors"))
