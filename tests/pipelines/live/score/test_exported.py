"""The exported network: padded batches hold each text once, and its vectors are those of the released network."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.live.score.export import NETWORK, convert
from pipelines.live.score.exported import Exported, filled, padded_batches
from pipelines.live.score.quantize import quantize
from pipelines.models.predictor import Predictor
from pipelines.records.domain import load_domain
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
    labels = load_domain(repository / "pipelines" / "domains" / "complaints").schema.labels
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
def test_bytes_answer_about_as_the_released_network_and_an_empty_sample_is_refused(made, tmp_path):
    records = pd.DataFrame({"id": [str(n) for n in range(len(TEXTS))], "text": TEXTS})
    predictor = Predictor.load(made / "model", precision="float32")
    expected = predictor.predict_proba(records)
    with pytest.raises(InputError, match="sample holds none"):
        convert(Predictor.load(made / "model", precision="float32"), tmp_path, sample=records.iloc[:0])
    convert(Predictor.load(made / "model", precision="float32"), tmp_path, sample=records)
    assert (tmp_path / NETWORK).with_suffix(".bin").stat().st_size < (made / NETWORK).with_suffix(".bin").stat().st_size
    predictor.replace_encoder(Exported(tmp_path / NETWORK, precision="f32", threads=1, streams=1))
    found = predictor.predict_proba(records)
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found - expected).max() > 0  # bytes it is, not the plain form


def answer_of(network, ids, mask):
    """Return the output of the network in float32."""
    import openvino

    compiled = openvino.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled({0: ids, 1: mask})[0]


def network_of(*, tokens_first: bool, weights: np.ndarray):
    """Token ids and mask in, one number a token or a text times a matrix out."""
    import openvino
    import openvino.opset13 as ops

    ids, mask = ops.parameter([-1, -1], np.int64), ops.parameter([-1, -1], np.int64)
    floats = ops.multiply(ops.convert(ids, "f32"), ops.convert(mask, "f32"))
    each = ops.unsqueeze(floats, ops.constant(2)) if tokens_first else ops.reduce_sum(floats, ops.constant(1), True)
    wide = ops.matmul(each, ops.constant(np.ones((1, weights.shape[1]), dtype=np.float32)), False, False)
    return openvino.Model([ops.matmul(wide, ops.constant(weights), False, True)], [ids, mask])


@pytest.mark.slow
@pytest.mark.parametrize("tokens_first", [True, False])
def test_bytes_of_any_network(tokens_first):
    weights = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    weights[2] = 0  # a channel of zeros
    network = network_of(tokens_first=tokens_first, weights=weights)
    plain = network.clone()
    tokens = [[3, 7, 9], [5]]
    assert quantize(network, tokens=tokens) == 2
    ids, mask = filled(tokens, np.array([0, 1]), width=3)
    expected, found = (answer_of(model, ids, mask) for model in (plain, network))
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.slow
def test_an_input_that_is_always_zero_gives_zeros():
    network = network_of(tokens_first=True, weights=np.ones((6, 4), dtype=np.float32))
    quantize(network, tokens=[[0, 0]])
    answer = answer_of(network, *filled([[0, 0]], np.array([0]), width=2))
    assert np.isfinite(answer).all()
    assert not answer.any()
