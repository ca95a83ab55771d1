"""Quantize an exported network to int8, with scales from a sample of texts like those it will get.

Matrices that keep or widen their input (attention, and the first of each feed-forward pair) multiply int8 by uint8. One
scale applies to the whole input, so the ranges of its channels are first made more equal and the weights take over the
factors (SmoothQuant, Xiao et al. 2023, equation 4). The input of a narrowing matrix (the second of the pair) has single
values twenty times as large as the rest, which one scale cannot cover: there only the weights are int8, and OpenVINO
finds a scale for each `GROUP` neighboring values (pipelines/live/score/exported.py) at run time.
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

LARGEST = 127  # of int8, symmetric around 0
LEVELS = 256  # of an input in uint8
TOKEN_RANK = 3  # of a tensor with one vector per token: text, token, channel
STRENGTH = 0.75  # share of the spread between an input's channels that its weights take over; .5 to 1 were tried
SMALLEST = 1e-4  # replaces the largest value of a channel that is always 0
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Matrix:
    """A constant matrix of the network, one row per output channel, and the product that uses it."""

    product: Any
    weights: Floats

    @property
    def widens(self) -> bool:
        """Whether it multiplies one vector per token and has at least as many outputs as inputs."""
        each_token = self.product.input_value(0).get_partial_shape().rank.get_length() == TOKEN_RANK
        return bool(each_token and self.weights.shape[0] >= self.weights.shape[1])

    @property
    def source(self) -> tuple[str, int]:
        """Name and output of the node that it multiplies; query, key and value of a layer have one source."""
        value = self.product.input_value(0)
        return value.get_node().get_friendly_name(), value.get_index()


def quantize(network: openvino.Model, *, tokens: Tokens) -> int:
    """Replace every constant matrix by int8 with scales that fit `tokens`, and return how many there were.

    Raises InputError when there are no tokens to find scales with.
    """
    if not tokens:
        raise InputError("the sample of records is empty: int8 scales are found with records, expected some hundreds")
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
        lowest, highest = min(0.0, (low / factors).min()), max(SMALLEST, (high / factors).max())  # 0 has a level
        ends = [ops.constant(np.float32(end)) for end in (lowest, highest)]
        smooth = ops.multiply(same[0].product.input_value(0), ops.constant((1 / factors)[None, None, :]))
        values = ops.fake_quantize(smooth, *ends, *ends, LEVELS)
        for matrix in same:
            product = ops.matmul(values, dequantized(matrix.weights * factors), False, True)
            matrix.product.output(0).replace(product.output(0))
    network.validate_nodes_and_infer_types()
    return len(found)


def matrices(network: openvino.Model) -> Iterator[Matrix]:
    """Yield every product with a constant matrix."""
    for node in network.get_ops():
        if node.get_type_name() != "MatMul" or node.input_value(1).get_node().get_type_name() != "Constant":
            continue
        weights = np.asarray(node.input_value(1).get_node().data, dtype=np.float32)
        if weights.ndim == 2:
            yield Matrix(node, weights if node.get_attributes()["transpose_b"] else weights.T)


def largest_values(network: openvino.Model, inputs: list[Matrix], *, tokens: Tokens) -> list[tuple[Floats, Floats]]:
    """Return the smallest and largest value of each channel of each matrix's input, in float32, without padding."""
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
    """Return the factor of each channel: its input is divided by it and its weights are multiplied with it."""
    ours = np.maximum(largest, SMALLEST) ** STRENGTH
    return np.asarray(ours / np.maximum(np.abs(weights).max(axis=0), SMALLEST) ** (1 - STRENGTH), dtype=np.float32)


def dequantized(weights: Floats) -> openvino.Node:
    """Return int8 values times scales as a part of a network; OpenVINO multiplies the int8 values themselves."""
    import openvino.opset13 as ops

    values, scales = as_int8(weights)
    return ops.multiply(ops.convert(ops.constant(values, dtype=np.int8), "f32"), ops.constant(scales))


def as_int8(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Return weights as int8, and the scale of each output channel."""
    scales = np.abs(weights).max(axis=1, keepdims=True) / LARGEST
    scales = np.where(scales > 0, scales, 1.0).astype(np.float32)  # a channel of zeros
    return np.clip(np.round(weights / scales), -LARGEST, LARGEST).astype(np.int8), scales
