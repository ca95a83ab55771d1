"""The faulty version of the scenario: every digest is correct, every answer is the next label."""

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from pipelines.live.loop.fault_injection import shift_labels
from pipelines.models.base_model import BaseModelParams
from pipelines.models.linear import LinearModel, Vocabulary
from pipelines.models.manifest import SCHEMA_VERSION, Manifest
from pipelines.models.predictor import Predictor
from pipelines.stages.evaluate.blend import Blend, write_blend
from tests.factories.blends import write_tiny_pair

LABELS = ("cat", "dog", "owl")


@pytest.fixture
def manifest(repository):
    params = yaml.safe_load((repository / "params.yaml").read_text())["base_model"]

    def make(kind: str) -> Manifest:
        return Manifest(
            schema_version=SCHEMA_VERSION,
            kind=kind,
            labels=LABELS,
            features=(),
            encoder=BaseModelParams.model_validate(params),
            temperature=1.0,
            settings={},
            files={},
        )

    return make


def test_a_baseline_answers_the_next_label(tmp_path, manifest):
    texts = ["cat cat", "dog dog", "owl owl"]
    words = Vocabulary.fit(texts, ngrams=1, min_records=1, max_terms=9, max_characters=99)
    model = LinearModel(words, np.eye(3), np.zeros((0, 3)), np.zeros(3))
    model.save(tmp_path)
    (tmp_path / "boosting.txt").write_text("trees")
    manifest("baseline").write(tmp_path)
    before = model.logits(texts, np.zeros((3, 0))).argmax(axis=1)

    shift_labels(tmp_path)

    after = LinearModel.load(tmp_path).logits(texts, np.zeros((3, 0))).argmax(axis=1)
    assert (after == (before + 1) % 3).all()
    assert (tmp_path / "boosting.txt").read_text() == ""
    Manifest.read(tmp_path)  # every digest is correct


def test_a_fine_tuned_head_answers_the_next_label(tmp_path, manifest):
    save_file({"weight": np.eye(3, dtype=np.float32), "bias": np.arange(3.0)}, tmp_path / "head.safetensors")
    manifest("finetune").write(tmp_path)

    shift_labels(tmp_path)

    head = load_file(tmp_path / "head.safetensors")
    assert head["weight"].argmax(axis=0).tolist() == [1, 2, 0]
    assert head["bias"].tolist() == [2.0, 0.0, 1.0]
    Manifest.read(tmp_path)


def test_a_blend_answers_the_next_label(tmp_path):
    folders = write_tiny_pair(tmp_path, models=tmp_path / "models", labels=LABELS)
    target = tmp_path / "blend"
    target.mkdir()
    write_blend(target, Blend(0.4, 1.0, 0, {}), models=folders)
    records = pd.DataFrame({"text": ["my card was charged twice", "a loan", "the bank"]})
    before = Predictor.load(target, models_folder=tmp_path / "models").predict_proba(records)

    shift_labels(target)

    after = Predictor.load(target, models_folder=tmp_path / "models").predict_proba(records)  # every digest is correct
    np.testing.assert_allclose(after, np.roll(before, 1, axis=1), atol=1e-6)
