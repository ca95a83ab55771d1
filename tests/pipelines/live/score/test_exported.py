"""The exported network: padded batches hold each text once, and its vectors are those of the released network."""

import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.gates.verdict import Check, Verdict
from pipelines.live.score.export import convert, export_folder, passed_export, write_export
from pipelines.live.score.exported import Exported, filled, padded_batches
from pipelines.models.manifest import Manifest
from pipelines.models.predictor import Predictor
from pipelines.records.domain import Domain
from pipelines.runtime.errors import InputError
from pipelines.stages.evaluate.blend import Blend, write_blend
from tests.factories.blends import write_tiny_pair
from tests.factories.tiny_release import write_tiny_model

NETWORK = "encoder.xml"
TEXTS = [
    "my card has a fee",
    "",
    "fee " * 50,
    "a loan",
    "a debt of a consumer",
    "the bank and the loan for a student",
] * 7


@given(lengths=st.lists(st.integers(1, 200), max_size=80), step=st.integers(1, 32), most=st.integers(1, 1000))
def test_every_text_is_in_one_batch_that_is_wide_enough_and_bounded(lengths, step, most):
    seen = []
    for rows, width in padded_batches(lengths, batch_tokens=most, step=step):
        assert width % step == 0
        assert all(0 <= width - lengths[row] < step for row in rows)
        assert len(rows) == 1 or len(rows) * width <= most
        seen.extend(rows.tolist())
    assert sorted(seen) == list(range(len(lengths)))


def test_padding_is_masked():
    ids, mask = filled([[7, 8, 9], [5]], np.array([1, 0]), width=4)
    assert ids.tolist() == [[5, 0, 0, 0], [7, 8, 9, 0]]
    assert mask.tolist() == [[1, 0, 0, 0], [1, 1, 1, 0]]


@pytest.fixture(scope="module")
def made(tmp_path_factory, repository):
    """A tiny model folder and its export."""
    folder = tmp_path_factory.mktemp("export")
    labels = Domain(repository / "pipelines" / "domains" / "complaints").schema.labels
    write_tiny_model(folder / "model", models=folder / "models", labels=labels, seed=1)
    convert(Predictor.load(folder / "model", precision="float32"), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("streams", [1, 2])
def test_an_export_answers_as_the_released_network_whatever_its_company(made, streams):
    records = pd.DataFrame({"id": [str(n) for n in range(len(TEXTS))], "text": TEXTS})
    predictor = Predictor.load(made / "model", precision="float32")
    expected = predictor.predict_proba(records)
    vectors = Exported(made / NETWORK, precision="f32", threads=2, streams=streams)
    predictor.replace_encoders({"encoder": vectors})
    np.testing.assert_allclose(predictor.predict_proba(records), expected, atol=1e-4)
    alone = np.vstack([predictor.predict_proba(records.iloc[[row]]) for row in range(6)])
    np.testing.assert_allclose(alone, expected[:6], atol=1e-4)
    assert predictor.predict_proba(records.iloc[:0]).shape == (0, expected.shape[1])


@pytest.mark.slow
def test_int8_predicts_about_what_the_released_network_does_and_an_empty_sample_is_refused(made, tmp_path):
    records = pd.DataFrame({"id": [str(n) for n in range(len(TEXTS))], "text": TEXTS})
    predictor = Predictor.load(made / "model", precision="float32")
    expected = predictor.predict_proba(records)
    with pytest.raises(InputError, match="sample of records is empty"):
        convert(Predictor.load(made / "model", precision="float32"), tmp_path, sample=records.iloc[:0])
    convert(Predictor.load(made / "model", precision="float32"), tmp_path, sample=records)
    assert (tmp_path / NETWORK).with_suffix(".bin").stat().st_size < (made / NETWORK).with_suffix(".bin").stat().st_size
    predictor.replace_encoders({"encoder": Exported(tmp_path / NETWORK, precision="f32", threads=1, streams=1)})
    found = predictor.predict_proba(records)
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found - expected).max() > 0  # it is int8, not the plain form


@pytest.mark.slow
def test_an_export_of_a_blend_has_both_networks_and_answers_as_the_blend(tmp_path):
    labels = ("a", "b", "c")
    folders = write_tiny_pair(tmp_path, models=tmp_path / "models", labels=labels)
    model, exports = tmp_path / "blend", tmp_path / "exports"
    model.mkdir()
    write_blend(model, Blend(0.6, 0.7, 0, {}), models=folders)
    shutil.copytree(tmp_path / "models" / Manifest.read(model).encoder.name, model / "encoder")
    records = pd.DataFrame({"id": [str(n) for n in range(len(TEXTS))], "text": TEXTS})
    expected = Predictor.load(model, precision="float32").predict_proba(records)

    def compare(vectors):
        replaced = Predictor.load(model, precision="float32")
        replaced.replace_encoders(vectors)
        same = float((replaced.predict_proba(records).argmax(axis=1) == expected.argmax(axis=1)).mean())
        rest = {"limit": 0.95, "rows": len(records), "min_rows": 1, "required": True, "sentence": "alike"}
        return Verdict.of("export", [Check.at_least("agreement", same, **rest)])

    assert write_export(model, exports=exports, compare=compare)["passed"]
    found = passed_export(model, exports=exports, threads=1, streams=1)
    assert set(found.vectors) == {"baseline", "finetune"}
    served = Predictor.load(model)
    served.replace_encoders(found.vectors)
    np.testing.assert_allclose(served.predict_proba(records), expected, atol=0.05)
    (export_folder(model, exports=exports) / "finetune.xml").unlink()
    assert passed_export(model, exports=exports, threads=1, streams=1) is None
    assert write_export(model, exports=exports, compare=compare, sample=records)["verdict"]["checks"]
