"""The exported network: padded batches hold each text once, and its vectors are those of the released network."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.live.score.export import NETWORK, convert
from pipelines.live.score.exported import Exported, filled, padded_batches
from pipelines.models.predictor import Predictor
from pipelines.records.domain import Domain
from pipelines.runtime.errors import InputError
from tests.factories.tiny_release import write_tiny_model

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
    predictor.replace_encoder(vectors)
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
    predictor.replace_encoder(Exported(tmp_path / NETWORK, precision="f32", threads=1, streams=1))
    found = predictor.predict_proba(records)
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found - expected).max() > 0  # it is int8, not the plain form
