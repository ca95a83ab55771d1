"""int8: the network predicts about what it predicted in float32, whatever its shape."""

import platform

import numpy as np
import pytest

from pipelines.live.score.exported import filled
from pipelines.live.score.quantize import quantize


def answer_of(network, ids, mask):
    """Return the network's output in float32."""
    import openvino

    compiled = openvino.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled({0: ids, 1: mask})[0]


def network_of(*, tokens_first: bool, weights: np.ndarray):
    """Return a network: token ids and mask in, one number per token or per text times a matrix out."""
    import openvino
    import openvino.opset13 as ops

    ids, mask = ops.parameter([-1, -1], np.int64), ops.parameter([-1, -1], np.int64)
    floats = ops.multiply(ops.convert(ids, "f32"), ops.convert(mask, "f32"))
    each = ops.unsqueeze(floats, ops.constant(2)) if tokens_first else ops.reduce_sum(floats, ops.constant(1), True)
    wide = ops.matmul(each, ops.constant(np.ones((1, weights.shape[1]), dtype=np.float32)), False, False)
    return openvino.Model([ops.matmul(wide, ops.constant(weights), False, True)], [ids, mask])


@pytest.mark.slow
@pytest.mark.parametrize("tokens_first", [True, False])
def test_int8_of_any_network(tokens_first):
    import torch

    if (
        tokens_first
        and platform.machine() == "x86_64"
        and not any(
            value for name, value in torch.cpu.get_capabilities().items() if "vnni" in name or name == "amx_int8"
        )
    ):
        pytest.skip("this processor has no VNNI: it adds pairs of int8 products in 16 bits, which overflow here")
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
