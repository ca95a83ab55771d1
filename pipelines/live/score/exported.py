"""Run an exported network: token ids in, one vector per text out, in padded batches of texts of similar length.

The released model is bitwise reproducible (batches of one length, filled up by repetition, see models.encoder). An
export has passed a parity gate instead, so its batches may be the fastest ones: the last bits of a text's vector depend
on the other texts of its batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.models.encoder import Tokens

if TYPE_CHECKING:
    import openvino

BATCH_TOKENS = 1024  # with int8 2 % faster than 512 or 2,048, in bfloat16 as fast; more batches share out better
GROUP = 128  # neighboring activations of one token that share a scale, where the weights are int8
LENGTH_STEP = 8  # lengths are padded to a multiple: a separate batch for every length costs more than the padding


def padded_batches(
    lengths: Sequence[int], *, batch_tokens: int = BATCH_TOKENS, step: int = LENGTH_STEP
) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Yield row numbers and padded length of each batch, longest first; every row is in one batch."""
    padded = -(-np.asarray(lengths, dtype=np.int64) // step) * step
    for width in sorted(set(padded.tolist()), reverse=True):
        rows = np.flatnonzero(padded == width)
        size = max(1, batch_tokens // width)
        for first in range(0, len(rows), size):
            yield rows[first : first + size], width


def filled(tokens: Tokens, rows: NDArray[np.int64], *, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return token ids of the rows, padded with 0 on the right, and the mask, 1 where there is a token; (n, width)."""
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(tokens[row])] = tokens[row]
        mask[place, : len(tokens[row])] = 1
    return ids, mask


class Exported:
    """A compiled export; `streams` batches are computed in parallel, each on its share of the threads."""

    def __init__(self, network: Path | openvino.Model, *, precision: str, threads: int, streams: int) -> None:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(GROUP),  # for int8 weights, else without effect
            "ENABLE_CPU_PINNING": False,  # parallel processes would be pinned to the same core
        }
        compiled = openvino.Core().compile_model(network, "CPU", settings)
        self._width = int(compiled.output(0).partial_shape[1].get_length())
        self._queue = openvino.AsyncInferQueue(compiled, streams)

    def __call__(self, tokens: Tokens) -> NDArray[np.float32]:
        """Return one vector per text, in the order of the texts, shape (n, width)."""
        out = np.empty((len(tokens), self._width), dtype=np.float32)

        def keep(request: Any, rows: NDArray[np.int64]) -> None:
            out[rows] = request.get_output_tensor(0).data

        self._queue.set_callback(keep)
        for rows, width in padded_batches([len(ids) for ids in tokens]):
            ids, mask = filled(tokens, rows, width=width)
            self._queue.start_async({0: ids, 1: mask}, userdata=rows)
        self._queue.wait_all()
        return out


def native_precision() -> str:
    """Return `bf16` if this processor supports it, else `f32`."""
    import openvino

    return "bf16" if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
