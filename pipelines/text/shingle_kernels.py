"""Compiled kernels behind `text.shingles`: words and shingles of bytes, min-hash bands, verified matches.

Integers only, no shared state and no order of threads in the results, so the same texts give the same numbers anywhere.
A shingle is known by a 64-bit hash: among 20 million different shingles the chance that any two share one is 1e-5, and
such an accident would move one Jaccard similarity by one shingle.
"""

# ruff: noqa: PLR0917  compiled functions take positions only

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.caching import UserProvidedCacheLocator

config: Any = numba.config


class CacheByContent(UserProvidedCacheLocator):
    """Find compiled code by the content of this file, not by its place: every Airflow run has a folder of its own."""

    def __init__(self, function: Any, file: str) -> None:
        super().__init__(function, file)
        self._cache_path = str(Path(config.CACHE_DIR) / self.get_source_stamp().hex()[:16])


config.CACHE_LOCATOR_CLASSES = f"{__name__}.CacheByContent"


def _compile(function: Any) -> Any:
    """Compile without the lock, cached in the folder NUMBA_CACHE_DIR, if that is set and writable.

    Numba's own default is not used: it writes into the repository, whose bytes are watched.
    """
    folder = config.CACHE_DIR
    if folder:
        with contextlib.suppress(OSError):
            Path(folder).mkdir(parents=True, exist_ok=True)
    return numba.njit(nogil=True, cache=bool(folder) and os.access(folder, os.W_OK))(function)


@_compile
def _mix(value):  # type: ignore[no-untyped-def]
    """Finalizer of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@_compile
def hash_shingles(text, starts, letters, width, words, shingles, counts, digests):  # type: ignore[no-untyped-def]
    """Hash every shingle of `width` words of each text into `shingles`; a shorter text is one, a blank text none."""
    filled, x, prime = 0, np.uint8(ord("x")), np.uint64(0x100000001B3)
    for record in range(len(starts) - 1):
        n_words, length, only_x, masked = 0, 0, True, False
        state = digest = np.uint64(0xCBF29CE484222325)
        for place in range(starts[record], starts[record + 1] + 1):
            letter = letters[text[place]] if place < starts[record + 1] else np.uint8(0)
            if letter:
                state = (state ^ np.uint64(letter)) * prime  # FNV-1a
                length += 1
                only_x = only_x and letter == x
            elif length:
                mask = only_x and length > 1
                if not (mask and masked):  # a run of XXXX is one word, however long
                    words[n_words] = np.uint64(0) if mask else _mix(state)
                    digest = _mix(digest * prime + words[n_words])
                    n_words += 1
                masked, length, only_x = mask, 0, True
                state = np.uint64(0xCBF29CE484222325)
        counts[record] = 0 if n_words == 0 else max(n_words - width + 1, 1)
        digests[record] = digest
        for first in range(counts[record]):
            state = np.uint64(n_words if n_words < width else width)
            for word in range(first, min(first + width, n_words)):
                state = _mix(state * prime + words[word])
            shingles[filled + first] = state
        filled += counts[record]
    return filled


@_compile
def band_keys(shingles, counts, multipliers, masks, rows, keys):  # type: ignore[no-untyped-def]
    """One key a band: the hash of `rows` minima, each over another scrambling of the shingles (Broder 1997)."""
    minima = np.empty(len(multipliers), np.uint32)
    filled = 0
    for record in range(len(counts)):
        minima[:] = np.uint32(0xFFFFFFFF)
        for place in range(filled, filled + counts[record]):
            low = np.uint32(shingles[place])
            high = np.uint32(shingles[place] >> np.uint64(32))
            for row in range(len(multipliers)):
                value = np.uint32((low ^ masks[row]) * multipliers[row])
                value = np.uint32(value ^ (value >> np.uint32(15)) ^ high)
                minima[row] = min(minima[row], value)
        filled += counts[record]
        for band in range(keys.shape[1]):
            state = np.uint64(0)
            for row in range(band * rows, (band + 1) * rows):
                state = _mix(state ^ (np.uint64(minima[row]) + np.uint64(0x9E3779B97F4A7C15)))
            keys[record, band] = state


@_compile
def jaccard(shingles, starts, sizes, left, right, at_least):  # type: ignore[no-untyped-def]
    """Exact Jaccard similarity of two records' shingles, or 0 as soon as `at_least` is out of reach."""
    for record in (left, right):
        if sizes[record] < 0:  # made a sorted set on first use: most records are never compared
            begin, end = starts[record], starts[record + 1]
            shingles[begin:end].sort()
            size = 0
            for place in range(begin, end):
                if size == 0 or shingles[place] != shingles[begin + size - 1]:
                    shingles[begin + size] = shingles[place]
                    size += 1
            sizes[record] = size
    n_left, n_right = sizes[left], sizes[right]
    if min(n_left, n_right) < at_least * max(n_left, n_right):
        return 0.0
    # s / (n + m - s) >= t needs s >= t (n + m) / (1 + t); one less, so that no rounding can rule a pair out.
    needed = int(at_least * (n_left + n_right) / (1 + at_least)) - 1
    i, j, shared = 0, 0, 0
    while i < n_left and j < n_right:
        if i - shared > n_left - needed or j - shared > n_right - needed:
            return 0.0
        a, b = shingles[starts[left] + i], shingles[starts[right] + j]
        shared += a == b
        i += a <= b
        j += b <= a
    return shared / (n_left + n_right - shared)


@_compile
def match(  # type: ignore[no-untyped-def]
    shingles,
    starts,
    sizes,
    groups,
    n_groups,
    buckets,
    n_buckets,
    order,
    n_given,
    grow,
    at_least,
    most,
    twin,
    similarity,
):
    """Give each record of `order` its most similar kept record, `twin`, verified; the first `n_given` are kept unasked.

    With `grow` a record without a twin is kept too, and later ones are compared with it. Buckets hold kept records
    only, so a letter sent 50,000 times costs one comparison a copy. Returns how many met the limit `most`.
    """
    leader = np.full(n_groups, -1, np.int64)
    head = np.full(n_buckets, -1, np.int64)
    tail = np.full(n_buckets, -1, np.int64)
    after = np.full(buckets.shape, -1, np.int32)
    kept = np.zeros(len(starts) - 1, np.bool_)
    seen = np.full(len(starts) - 1, -1, np.int64)
    cut = 0
    for turn in range(len(order)):
        record = order[turn]
        if starts[record + 1] == starts[record]:
            continue  # a blank text has no duplicate
        best, value = -1, 0.0
        if turn >= n_given:
            same = leader[groups[record]]
            if same >= 0 and not kept[same]:
                same = twin[same]
            if same >= 0:
                found = jaccard(shingles, starts, sizes, record, same, at_least)
                if found >= at_least:
                    best, value = same, found
            compared = 0
            for band in range(0 if best >= 0 else buckets.shape[1]):
                other = head[buckets[record, band]] if buckets[record, band] >= 0 else -1
                while other >= 0 and compared < most:
                    if seen[other] != record:
                        seen[other] = record
                        compared += 1
                        found = jaccard(shingles, starts, sizes, record, other, at_least)
                        if found >= at_least and (found > value or (found == value and other < best)):
                            best, value = other, found
                    other = after[other, band]
            cut += compared >= most
            twin[record], similarity[record] = best, value
        if turn < n_given or (grow and best < 0):
            kept[record] = True
            for band in range(buckets.shape[1]):
                bucket = buckets[record, band]
                if bucket >= 0:
                    if head[bucket] < 0:
                        head[bucket] = record
                    else:
                        after[tail[bucket], band] = record
                    tail[bucket] = record
        if leader[groups[record]] < 0:
            leader[groups[record]] = record
    return cut
