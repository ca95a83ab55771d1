"""Training batches of texts of similar length, in an order that depends on the seed and the epoch only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.models.encoder import Tokens, batches_by_length
from pipelines.runtime.errors import StoreError
from pipelines.runtime.progress import advancing


def epoch_batches(lengths: Sequence[int], *, rows: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Return the row numbers of each batch of an epoch.

    Rows are shuffled, sorted by length within groups of 16 batches, and the batches shuffled again.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    of = np.asarray(lengths)
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), 16 * rows):
        group = order[start : start + 16 * rows]
        group = group[np.argsort(-of[group], kind="stable")]
        batches.extend(group[at : at + rows] for at in range(0, len(group), rows))
    return [batches[index] for index in generator.permutation(len(batches))]


def _reserve(file: IO[bytes], size: int) -> None:
    """Allocate the space of a file; OSError when the disk has less."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, 1 << 20):  # macOS
        file.write(bytes(min(1 << 20, size - start)))
    file.flush()


class TokenSource:
    """Batches of token ids."""

    def __init__(self, tokens: Tokens, *, device: torch.device) -> None:
        self.tokens = tokens
        self.lengths = [len(ids) for ids in tokens]
        self.device = device

    def batch(self, rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Return the classifier's arguments for these rows, padded on the right to the longest."""
        longest = max(self.lengths[row] for row in rows)
        ids = torch.zeros((len(rows), longest), dtype=torch.long)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, : self.lengths[row]] = torch.tensor(self.tokens[row])
            mask[index, : self.lengths[row]] = 1
        return {"ids": ids.to(self.device), "mask": mask.to(self.device)}


class ActivationSource:
    """Batches of the frozen layers' activations, computed once and kept in an unlinked temporary file.

    The file has no name, so a killed run leaves nothing behind. Its space is allocated at once, so that a full disk is
    an error here and not a crash later.
    """

    def __init__(
        self, tokens: Tokens, *, lower: Any, width: int, dtype: torch.dtype, device: torch.device, progress: str
    ) -> None:
        self.lengths = [len(ids) for ids in tokens]
        ends = np.cumsum(self.lengths)
        self._starts = ends - np.asarray(self.lengths)
        size = int(ends[-1]) * width * dtype.itemsize
        with tempfile.TemporaryFile(prefix="perennial-activations-") as file:
            try:
                _reserve(file, size)
            except OSError as error:
                raise StoreError(
                    f"{tempfile.gettempdir()}: no space for {size / 1e6:,.1f} MB of the frozen layers' activations "
                    f"({error.strerror}); set TMPDIR to a larger folder, or finetune.cache_frozen: false"
                ) from error
            bits = np.int16 if dtype.itemsize == 2 else np.int32
            raw = np.memmap(
                file, dtype=bits, mode="r+", shape=(int(ends[-1]), width)
            )  # stays valid after the file is closed
        self._store = torch.from_numpy(raw).view(dtype)
        self.device = device
        lower = lower.to(device=device, dtype=dtype)
        with torch.inference_mode(), advancing(progress, total=len(tokens)) as advance:
            for batch in batches_by_length(self.lengths):
                hidden = lower(torch.tensor([tokens[row] for row in batch], device=device)).cpu()
                for index, row in enumerate(distinct := np.unique(batch)):
                    start = self._starts[row]
                    self._store[start : start + self.lengths[row]] = hidden[index]
                advance(len(distinct))

    def batch(self, rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Return the classifier's arguments for these rows, padded on the right to the longest."""
        longest = max(self.lengths[row] for row in rows)
        hidden = torch.zeros((len(rows), longest, self._store.shape[1]), dtype=self._store.dtype)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for index, row in enumerate(rows):
            length = self.lengths[row]
            hidden[index, :length] = self._store[self._starts[row] : self._starts[row] + length]
            mask[index, :length] = 1
        return {"hidden": hidden.to(self.device), "mask": mask.to(self.device)}
