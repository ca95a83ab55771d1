"""Two processes that train together: as many steps as one, the same model up to rounding, and no endless waiting."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.factories.tiny_base_model import write_tiny_base_model

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]
TRAIN = """
import json, os, sys
from pathlib import Path
import numpy as np, pandas as pd, torch
from pipelines.stages.finetune.candidate import train
from pipelines.stages.finetune.processes import together
from pipelines.training.training_set import TrainingSet
from tests.factories.finetuning import Calls, finetune_params, job_of

folder, processes, out, fail = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
checkpoints = sys.argv[5]
torch.set_num_threads(1)
params = finetune_params(
    folder / "models", mode="lora", train_layers=None, cache_frozen=False, processes=processes, max_rows=37,
    lora={"rank": 4, "alpha": 8, "targets": "all-linear"}, learning_rate=0.005, dropout=0.0, evaluate_every=4,
    evaluate_rows=40,
)
texts = [f"my card has a fee {n}" if n % 2 else f"the bank and the loan {n} for a student" for n in range(41)]
frame = pd.DataFrame({"id": [str(n) for n in range(41)], "text": texts})
gold = (np.arange(41) % 2 == 0).astype(np.int64)
data = TrainingSet(frame, np.eye(2)[gold], np.linspace(0.5, 1.5, 41), frame, gold)

def evaluated(metrics, step):
    if fail == "first" and step == 8:
        os._exit(9)

with together(processes) as writes:
    if fail == "other" and not writes:
        raise SystemExit("this process has no memory left")
    if writes:
        out.mkdir()
    job = job_of(data, params=params, folder=folder, checkpoints=checkpoints)
    metrics, curve = train(job, folder=out, tracker=Calls(evaluated))
    if writes:
        (out / "result.json").write_text(json.dumps({"metrics": metrics, "curve": curve}))
"""


@pytest.fixture
def train(tmp_path, repository):
    """A function that runs the training as a command of its own."""
    (tmp_path / "train.py").write_text(TRAIN)
    write_tiny_base_model(tmp_path / "models")

    def run(processes, name, *, fail="", checkpoints="checkpoints"):
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        command = [
            sys.executable,
            str(tmp_path / "train.py"),
            str(tmp_path),
            str(processes),
            str(tmp_path / name),
            fail,
        ]
        command.append(checkpoints)
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return run


def done(process):
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def test_two_processes_train_the_model_that_one_trains(tmp_path, train):
    from safetensors.numpy import load_file

    done(train(1, "one"))
    done(train(2, "two"))
    one, two = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "two"))
    assert one["metrics"]["steps"] == two["metrics"]["steps"] == 15  # the last batch of an epoch is uneven
    assert [point["step"] for point in one["curve"]] == [point["step"] for point in two["curve"]]
    assert one["metrics"]["best_step"] == two["metrics"]["best_step"]
    for file in ("adapter_model.safetensors", "head.safetensors"):
        first, second = (load_file(tmp_path / name / file) for name in ("one", "two"))
        assert first.keys() == second.keys()
        for name, weights in first.items():
            np.testing.assert_allclose(weights, second[name], atol=2e-3, err_msg=name)


@pytest.mark.long
@pytest.mark.chaos
def test_a_killed_training_of_two_is_resumed_and_ends_with_the_same_bytes(tmp_path, train):
    done(train(2, "undisturbed", checkpoints="others"))
    died = train(2, "first", fail="first")
    died.communicate(timeout=240)
    assert died.returncode == 9
    assert not (tmp_path / "first" / "predictor.json").exists()
    output = done(train(2, "again"))
    for file in ("adapter_model.safetensors", "head.safetensors", "predictor.json", "result.json"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "undisturbed" / file).read_bytes(), output


def test_a_process_that_dies_ends_the_others_and_its_output_is_shown(train):
    process = train(2, "out", fail="other")
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "process 1 of this training failed" in output
    assert "this process has no memory left" in output


@pytest.mark.long
@pytest.mark.chaos
def test_no_process_outlives_the_first(tmp_path, train):
    process = train(2, "out")
    until = time.monotonic() + 240
    while not (tmp_path / "checkpoints").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=240)
    while time.monotonic() < until and alive(process.pid):
        time.sleep(0.1)
    assert alive(process.pid) == []


def alive(session):
    """Return the states of processes of a session that still run."""
    listed = subprocess.run(["ps", "-o", "stat=", "-s", str(session)], capture_output=True, text=True, check=False)
    return [line for line in listed.stdout.split() if not line.startswith("Z")]
