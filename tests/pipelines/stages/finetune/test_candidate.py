"""Fine-tuning on a tiny base model: same weights after a kill, refusals, and the predictor of what was written."""

import errno
import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.models.manifest import MANIFEST
from pipelines.models.predictor import Predictor
from pipelines.runtime.errors import InputError, StoreError
from pipelines.stages.finetune import checkpoint, training
from pipelines.stages.finetune.candidate import train
from pipelines.stages.finetune.training import rate_at
from pipelines.training.tracking import NoTracking
from pipelines.training.training_set import TrainingSet
from tests.factories.finetuning import Calls, finetune_params, job_of

pytestmark = pytest.mark.slow
LABELS = ("card", "loan")
TEXTS = [f"my card has a fee {n}" if n % 2 else f"the bank and the loan {n} for a student" for n in range(40)]


@pytest.fixture
def params(tmp_path):
    return finetune_params(tmp_path / "models")


def rows(*, n_gold=8):
    frame = pd.DataFrame({"id": [str(n) for n in range(len(TEXTS))], "text": TEXTS})
    codes = np.arange(len(TEXTS)) % 2 == 0
    targets = np.eye(2)[codes.astype(int)] * 0.8 + 0.1
    return TrainingSet(
        frame, targets, np.ones(len(TEXTS)), frame.iloc[:n_gold].reset_index(drop=True), codes[:n_gold].astype(np.int64)
    )


def trained(folder, params, *, data=None, tracker=None):
    folder.mkdir(exist_ok=True)
    job = job_of(rows() if data is None else data, params=params, folder=folder.parent)
    metrics, curve = train(job, folder=folder, tracker=tracker or NoTracking())
    shutil.rmtree(job.checkpoints)
    return {file.name: file.read_bytes() for file in folder.iterdir()}, metrics, curve


class Killed(BaseException):
    """Simulates kill -9: nothing in the code under test catches it."""


@pytest.mark.parametrize("mode", ["top_layers", "lora"])
def test_killed_and_resumed_gives_the_same_bytes(tmp_path, params, mode, caplog):
    params = params.model_copy(update={"mode": mode})
    undisturbed, _, curve = trained(tmp_path / "a", params)

    def die(_, step):
        if step == 6:
            raise Killed

    with pytest.raises(Killed):
        train(job_of(rows(), params=params, folder=tmp_path), folder=tmp_path, tracker=Calls(die))
    with caplog.at_level(logging.INFO):
        again, _, second = trained(tmp_path / "b", params)
    assert "resuming at step 4" in caplog.text
    assert again == undisturbed
    assert second == curve


def test_the_written_model_answers_offline_and_names_no_path(tmp_path, params):
    files, metrics, _ = trained(tmp_path / "a", params)
    assert str(tmp_path) not in files["adapter_config.json"].decode()
    probabilities = Predictor.load(tmp_path / "a", models_folder=tmp_path / "models").predict_proba(rows().train)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert metrics["validation"]["macro_f1"] > 0.9
    assert metrics["trained_weights"] > 0


def test_without_gold_there_is_no_temperature_and_no_early_stop(tmp_path, params):
    _, metrics, curve = trained(tmp_path / "a", params, data=rows(n_gold=0))
    assert metrics["temperature"] == 1.0
    assert metrics["stopped_by"] == "fixed epochs: no gold validation rows"
    assert [point["validation_macro_f1"] for point in curve] == [None] * len(curve)


def test_metrics_name_what_ended_training(tmp_path, params):
    _, done, _ = trained(tmp_path / "a", params)
    assert (done["stopped_by"], done["steps"]) == ("all epochs done", 12)
    hurried = params.model_copy(update={"patience": 1, "epochs": 30})
    _, stopped, curve = trained(tmp_path / "b", hurried)
    assert stopped["stopped_by"] == "gold validation macro-F1"
    assert stopped["steps"] == stopped["best_step"] + 2 < 120
    assert curve[-1]["validation_macro_f1"] <= stopped["best_validation_macro_f1_in_training"]


def test_lora_on_all_layers_without_a_cache(tmp_path, params):
    update = {"mode": "lora", "train_layers": None, "cache_frozen": False}
    _, metrics, _ = trained(tmp_path / "a", params.model_copy(update=update))
    assert metrics["steps"] == 12


def test_a_full_disk_is_a_readable_error(tmp_path, params, monkeypatch):
    def full(*_, **__):
        raise StoreError("checkpoints: no space left on the device")

    monkeypatch.setattr(checkpoint, "write_atomic", full)
    with pytest.raises(StoreError, match="no space left"):
        trained(tmp_path / "a", params)


def test_a_disk_too_small_for_the_activations_is_named(tmp_path, params, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreError, match=r"no space for 0.0 MB.*No space left.*TMPDIR.*finetune.cache_frozen: false"):
        trained(tmp_path / "a", params)


@pytest.mark.parametrize("name", ["head.safetensors", "adapter_model.safetensors"])
def test_a_disk_that_fills_while_the_model_is_written_leaves_no_manifest(tmp_path, params, monkeypatch, name):
    write = Path.write_bytes

    def full(self, content):
        if self.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        trained(tmp_path / "a", params)
    assert not (tmp_path / "a" / MANIFEST).exists()


def test_a_diverging_run_is_refused(tmp_path, params):
    data = rows()
    data.weights[:] = np.nan
    with pytest.raises(InputError, match=r"diverged: the loss is nan at step 1, on the batch .* no checkpoint yet"):
        trained(tmp_path / "a", params, data=data)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_run_that_diverges_keeps_its_last_good_checkpoint(tmp_path, params, monkeypatch, what):
    usual, calls = training.soft_cross_entropy, []

    def breaks(logits, targets, weights):
        calls.append(usual(logits, targets, weights))
        if len(calls) < 6:  # a checkpoint is written after step 6
            return calls[-1]
        return logits.sum() * float("nan") if what == "loss" else (logits * 0.0).sum().sqrt()

    monkeypatch.setattr(training, "soft_cross_entropy", breaks)
    job = job_of(rows(), params=params, folder=tmp_path)
    with pytest.raises(InputError) as refusal:
        train(job, folder=tmp_path, tracker=NoTracking())
    state, tensors = checkpoint.load(next(job.checkpoints.iterdir()))
    assert state.step == 4
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    named = str(refusal.value)
    assert what in named and "step 6" in named and "8 records" in named and str(job.checkpoints) in named


def test_a_changed_file_is_refused(tmp_path, params):
    trained(tmp_path / "a", params)
    (tmp_path / "a" / "head.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match="changed after training"):
        Predictor.load(tmp_path / "a", models_folder=tmp_path / "models")
    (tmp_path / "a" / MANIFEST).write_text(json.dumps({"kind": "other"}))
    with pytest.raises(InputError, match="does not describe a model"):
        Predictor.load(tmp_path / "a", models_folder=tmp_path / "models")


def test_a_model_that_gives_nan_is_refused_by_name(tmp_path, params, monkeypatch):
    trained(tmp_path / "a", params)
    predictor = Predictor.load(tmp_path / "a", models_folder=tmp_path / "models")
    monkeypatch.setattr(predictor._scorer, "bias", predictor._scorer.bias * float("nan"))
    with pytest.raises(InputError, match=r"NaN or infinity for 40 of 40 records, the first in row 0 \(id 0\)"):
        predictor.predict(rows().train)


def test_the_rate_warms_up_and_falls_to_nothing():
    rates = [rate_at(step, steps=100, warmup_share=0.05) for step in range(100)]
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 5
    assert rates[-1] < 0.01
