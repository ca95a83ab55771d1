"""Near duplicates: what two texts share, found by MinHash bands and verified by exact Jaccard on word shingles.

A text is normalized first: lower case, every run of other characters than letters and digits is one space, and a run of
masked words (XXXX) is one word. In scripts without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese
and some smaller ones) each character, with the marks on it, is a word. Shingles are the runs of `words` words; a
shorter text is one shingle. A band of r rows catches a pair of similarity s with chance s^r, b bands with
1 - (1 - s^r)^b; what they catch is compared shingle by shingle.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipelines.runtime.params import StageParams
from pipelines.text import shingle_kernels as kernels
from pipelines.text.scripts import UNSPACED

CHUNK = 2048  # texts hashed at a time: bounds the memory, and cannot change a result
# For each byte the letter or digit it stands for, 0 for none; bytes beyond ASCII belong to letters made plain before.
LETTERS = np.array([b if b > 127 else ord(chr(b).lower()) if chr(b).isalnum() else 0 for b in range(256)], np.uint8)


class NearDuplicateParams(StageParams):
    """params.yaml: near_duplicates. Which texts are duplicates, and how thoroughly the search is."""

    threshold: float = Field(gt=0, le=1, description="Jaccard similarity of shingles from which texts are duplicates")
    words: int = Field(
        ge=1,
        le=50,
        description="words per shingle (characters in scripts without spaces); a shorter text is one shingle",
    )
    bands: int = Field(
        default=32,
        ge=1,
        le=256,
        description="bands of MinHash: 32 x 6 catches a pair at 0.8 with probability 0.9999 (26 x 8: 0.99)",
    )
    rows: int = Field(default=6, ge=1, le=64, description="hashes per band; more rows propose fewer pairs")
    max_comparisons: int = Field(default=1000, ge=1, description="kept records that one record is compared with")


@dataclass(frozen=True)
class Matches:
    """For each text: position of the kept text it repeats (-1: none), their similarity, and whether they are equal."""

    twin: NDArray[np.int64]
    similarity: NDArray[np.float64]
    exact: NDArray[np.bool_]
    n_cut: int  # texts that met the limit of comparisons


@dataclass(frozen=True)
class Fingerprints:
    """Shingles and band keys of texts, by position."""

    shingles: NDArray[np.uint64]
    starts: NDArray[np.int64]
    digests: NDArray[np.uint64]  # of the whole normalized text
    keys: NDArray[np.uint64]  # texts by bands

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def blank(self) -> NDArray[np.bool_]:
        """Which texts hold no word at all."""
        return np.diff(self.starts) == 0

    def repeated(self, *, near: NearDuplicateParams) -> Matches:
        """Which texts repeat an earlier one that is kept itself: no chains over neighbors of neighbors."""
        return self._match(np.arange(len(self)), n_given=0, grow=True, near=near)

    def matching(self, queries: NDArray[np.int64], *, given: NDArray[np.int64], near: NearDuplicateParams) -> Matches:
        """Which texts at `queries` repeat one of those at `given`."""
        return self._match(np.concatenate([given, queries]), n_given=len(given), grow=False, near=near)

    def similarity(self, left: int, right: int) -> float:
        """Exact Jaccard similarity of two texts; two blank ones have none."""
        if self.blank[left] or self.blank[right]:
            return 0.0
        return float(kernels.jaccard(self.shingles, self.starts, self._sizes, left, right, 0.0))

    def _match(self, order: NDArray[np.int64], *, n_given: int, grow: bool, near: NearDuplicateParams) -> Matches:
        twin, similarity = np.full(len(self), -1, np.int64), np.zeros(len(self))
        n_cut = kernels.match(
            self.shingles, self.starts, self._sizes, *self._groups, *self._buckets, order.astype(np.int64),
            n_given, grow, near.threshold, near.max_comparisons, twin, similarity,
        )  # fmt: skip
        exact = (twin >= 0) & (similarity == 1) & (self.digests == self.digests[twin])
        return Matches(twin=twin, similarity=similarity, exact=exact, n_cut=int(n_cut))

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return np.full(len(self), -1, np.int64)

    @cached_property
    def _groups(self) -> tuple[NDArray[np.int64], int]:
        values, groups = np.unique(self.digests, return_inverse=True)
        return groups.astype(np.int64), len(values)

    @cached_property
    def _buckets(self) -> tuple[NDArray[np.int32], int]:
        """Number of the bucket of each text and band; -1 where a text is alone or blank."""
        buckets, taken = np.full(self.keys.shape, -1, np.int32), 0
        texts = np.flatnonzero(~self.blank)
        for band in range(self.keys.shape[1]):
            _, inverse, counts = np.unique(self.keys[texts, band], return_inverse=True, return_counts=True)
            numbers = np.where(counts > 1, taken + np.cumsum(counts > 1) - 1, -1)
            buckets[texts, band] = numbers[inverse]
            taken += int((counts > 1).sum())
        return buckets, taken


def fingerprint(texts: Sequence[str], *, near: NearDuplicateParams, seed: int, threads: int) -> Fingerprints:
    """Shingles and band keys of texts; the number of threads changes no value."""
    random = np.random.default_rng(seed)
    n_hashes = near.bands * near.rows
    masks = random.integers(0, 2**32, n_hashes, dtype=np.uint32)
    multipliers = random.integers(0, 2**31, n_hashes, dtype=np.uint32) * np.uint32(2) + np.uint32(1)

    def of_chunk(text: bytes, starts: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        room = len(text) // 2 + len(starts)
        words, shingles = np.empty(room, np.uint64), np.empty(room, np.uint64)
        counts, digests = np.empty(len(starts) - 1, np.int64), np.empty(len(starts) - 1, np.uint64)
        raw = np.frombuffer(text, np.uint8)
        n = kernels.hash_shingles(raw, starts, LETTERS, near.words, words, shingles, counts, digests)
        keys = np.empty((len(counts), near.bands), np.uint64)
        kernels.band_keys(shingles, counts, multipliers, masks, near.rows, keys)
        return shingles[:n].copy(), counts, digests, keys

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda chunk: of_chunk(*chunk), _chunks(texts)))
    shingles, counts, digests, keys = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Fingerprints(shingles, np.concatenate([[0], np.cumsum(counts)]), digests, keys)


def _chunks(texts: Sequence[str]) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
    for first in range(0, max(len(texts), 1), CHUNK):
        encoded = [_plain(text).encode("utf-8", "replace") for text in texts[first : first + CHUNK]]
        yield b"".join(encoded), np.concatenate([[0], np.cumsum([len(text) for text in encoded])]).astype(np.int64)


def _plain(text: str) -> str:
    """ASCII as it is, since the kernel knows its letters; else unified forms, lower case, letters and digits only."""
    if text.isascii():
        return text
    separators, character = _patterns()
    words = separators.sub(" ", unicodedata.normalize("NFKC", text).lower())
    return character.sub(r" \g<0> ", words)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Match runs without letter, digit or mark (without the marks Hindi words would lose their vowels), and one
    character of a script without spaces with its marks.
    """
    marks = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M"))
    return re.compile(rf"[^\w{marks}]+|_+"), re.compile(rf"[{UNSPACED}][{marks}]*")
