"""An export whose matrix products multiply bytes, made of the network and a sample of texts like those it will meet.

Matrices that keep or widen their input (attention, and the first of each feed-forward pair) multiply bytes by bytes.
One scale serves the whole of such an input, so its channels are first brought nearer to each other and the weights
take the factors over (SmoothQuant, Xiao et al. 2023, equation 4). The input of a narrowing matrix (the second of the
pair) holds single values twenty times as large as the rest, which no one scale fits: there the weights alone are bytes,
and OpenVINO finds a scale for each `GROUP` neighboring values (pipelines/live/score/exported.py) as it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.live.score.exported import filled, padded_batches
from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import openvino

    from pipelines.models.encoder import Tokens

LARGEST = 127  # of a signed byte, the same on both sides of 0
LEVELS = 256  # of a byte of an input
TOKEN_RANK = 3  # of what holds a vector a token: text, token, channel
STRENGTH = 0.75  # the share of the spread between an input's channels that its weights take over; .5 to 1 were tried
SMALLEST = 1e-4  # stands for the largest value of a channel that is always 0
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Matrix:
    """A constant matrix of the network, one row per output channel, and the product that uses it."""

    product: Any
    weights: Floats

    @property
    def widens(self) -> bool:
        """Whether it multiplies a vector a token and gives at least as many outputs as inputs."""
        each_token = self.product.input_value(0).get_partial_shape().rank.get_length() == TOKEN_RANK
        return bool(each_token and self.weights.shape[0] >= self.weights.shape[1])

    @property
    def source(self) -> tuple[str, int]:
        """What it multiplies; query, key and value of a layer have one source."""
        value = self.product.input_value(0)
        return value.get_node().get_friendly_name(), value.get_index()


def quantize(network: openvino.Model, *, tokens: Tokens) -> int:
    """Put bytes in place of every constant matrix, with scales that fit `tokens`; returns of how many.

    Raises InputError where there are no tokens to find scales with.
    """
    if not tokens:
        raise InputError("int8 scales are fitted to records and the sample is empty: expected some hundreds")
    import openvino.opset13 as ops

    found = list(matrices(network))
    together: dict[tuple[str, int], list[Matrix]] = {}
    for matrix in found:
        if matrix.widens:
            together.setdefault(matrix.source, []).append(matrix)
    reach = largest_values(network, [same[0] for same in together.values()], tokens=tokens)
    for matrix in found:
        if not matrix.widens:
            product = ops.matmul(matrix.product.input_value(0), dequantized(matrix.weights), False, True)
            matrix.product.output(0).replace(product.output(0))
    for same, (low, high) in zip(together.values(), reach, strict=True):
        factors = smoothing(np.maximum(-low, high), weights=np.concatenate([matrix.weights for matrix in same]))
        lowest, highest = min(0.0, (low / factors).min()), max(SMALLEST, (high / factors).max())  # 0 has a byte
        ends = [ops.constant(np.float32(end)) for end in (lowest, highest)]
        smooth = ops.multiply(same[0].product.input_value(0), ops.constant((1 / factors)[None, None, :]))
        values = ops.fake_quantize(smooth, *ends, *ends, LEVELS)
        for matrix in same:
            product = ops.matmul(values, dequantized(matrix.weights * factors), False, True)
            matrix.product.output(0).replace(product.output(0))
    network.validate_nodes_and_infer_types()
    return len(found)


def matrices(network: openvino.Model) -> Iterator[Matrix]:
    """Every product with a constant matrix."""
    for node in network.get_ops():
        if node.get_type_name() != "MatMul" or node.input_value(1).get_node().get_type_name() != "Constant":
            continue
        weights = np.asarray(node.input_value(1).get_node().data, dtype=np.float32)
        if weights.ndim == 2:
            yield Matrix(node, weights if node.get_attributes()["transpose_b"] else weights.T)


def largest_values(network: openvino.Model, inputs: list[Matrix], *, tokens: Tokens) -> list[tuple[Floats, Floats]]:
    """Smallest and largest value of each channel of each matrix's input, in float32, padding left out."""
    import openvino

    watched = network.clone()
    by_source = {matrix.source: matrix.product.input_value(0) for matrix in matrices(watched)}
    watched.add_outputs([by_source[matrix.source] for matrix in inputs])
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(watched, "CPU", settings).create_infer_request()
    reach = [(np.full(matrix.weights.shape[1], np.inf), np.full(matrix.weights.shape[1], -np.inf)) for matrix in inputs]
    for rows, width in padded_batches([len(ids) for ids in tokens]):
        ids, mask = filled(tokens, rows, width=width)
        request.infer({0: ids, 1: mask})
        for place, (low, high) in enumerate(reach):
            values = request.get_output_tensor(1 + place).data[mask == 1]
            reach[place] = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
    return [(low.astype(np.float32), high.astype(np.float32)) for low, high in reach]


def smoothing(largest: Floats, *, weights: Floats) -> Floats:
    """What to divide each channel of an input by, and to multiply its weights with."""
    ours = np.maximum(largest, SMALLEST) ** STRENGTH
    return np.asarray(ours / np.maximum(np.abs(weights).max(axis=0), SMALLEST) ** (1 - STRENGTH), dtype=np.float32)


def dequantized(weights: Floats) -> openvino.Node:
    """Bytes times scales as a part of a network; OpenVINO multiplies the bytes themselves."""
    import openvino.opset13 as ops

    values, scales = as_bytes(weights)
    return ops.multiply(ops.convert(ops.constant(values, dtype=np.int8), "f32"), ops.constant(scales))


def as_bytes(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Bytes, and the scale of each output channel."""
    scales = np.abs(weights).max(axis=1, keepdims=True) / LARGEST
    scales = np.where(scales > 0, scales, 1.0).astype(np.float32)  # a channel of zeros
    return np.clip(np.round(weights / scales), -LARGEST, LARGEST).astype(np.int8), scales
