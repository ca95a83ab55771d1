"""Groups of gold rows by source, days and class: which are contradicted, and which came in a burst.

Every probability is multiplied by the number of groups that were tested (Bonferroni), so in a stream in which labels
are right or wrong at random, a run names any group with a probability of at most `max_false_alarm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
SLACK, MIN_USUAL = 0.5, 0.02
MAX_SOURCE_SHARE = 0.1  # of all rows: a value that is more frequent, such as a channel, is left out
PRIOR_ROWS = 2.0  # weight of the shares of all rows in those of one source


@dataclass(frozen=True)
class Windows:
    """All windows of `width` days that begin on a day of their key: rows `order[start:end]` of each."""

    order: Codes
    starts: Codes
    ends: Codes

    @classmethod
    def of(cls, keys: Codes, days: Codes, *, width: int) -> Windows:
        """Return the windows of each key (n,) of 0 or more; other rows have none."""
        kept = np.flatnonzero(keys >= 0)
        order = kept[np.lexsort((days[kept], keys[kept]))]
        span = int(days.max() - days.min()) + 2 * width + 1 if len(days) else 1
        at = keys[order] * span + days[order] - (days.min() if len(days) else 0)
        starts = np.flatnonzero(np.diff(at, prepend=-1))
        return cls(order, starts, np.searchsorted(at, at[starts] + width - 1, side="right"))

    def sums(self, values: NDArray[Any]) -> Floats:
        """Return the sum of values (n,) over the rows of each window."""
        total = np.concatenate([[0.0], np.cumsum(values[self.order], dtype=np.float64)])
        return np.asarray(total[self.ends] - total[self.starts])

    def rows(self, place: int) -> Codes:
        """Return the rows of one window."""
        return self.order[self.starts[place] : self.ends[place]]


@dataclass(frozen=True)
class Group:
    """Rows that one finding is about."""

    what: str
    rows: Codes
    strength: float  # how far beyond chance: the higher, the worse


def contradicted(
    families: Mapping[str, Windows],
    suspect: NDArray[np.bool_],
    expected: Floats,
    *,
    min_rows: int,
    min_excess: float,
    max_false_alarm: float,
) -> list[Group]:
    """Return the groups in which the share of contradicted labels is `min_excess` above what is expected (n,).

    It must also be beyond chance: a binomial tail whose mean is the expected share, raised by `SLACK`, because
    some sources and days are harder than others.
    """
    from scipy.stats import binom

    sizes = {name: windows.ends - windows.starts for name, windows in families.items()}
    tested = sum(int((size >= min_rows).sum()) for size in sizes.values())
    found = []
    for name, windows in families.items():
        size, hits, usual = sizes[name], windows.sums(suspect), windows.sums(expected) / np.maximum(sizes[name], 1)
        chance = binom.sf(hits - 1, size, np.minimum(usual * (1 + SLACK) + MIN_USUAL, 1.0))
        strong = (size >= min_rows) & (hits / np.maximum(size, 1) >= usual + min_excess)
        for place in np.flatnonzero(strong & (chance <= max_false_alarm / max(tested, 1))):
            found.append(Group(name, windows.rows(int(place)), -float(np.log10(max(chance[place], 1e-300)))))
    return apart(found)


def volume_bursts(
    sources: Mapping[str, Codes],
    codes: Codes,
    days: Codes,
    *,
    width: int,
    min_rows: int,
    min_class_share: float,
    max_false_alarm: float,
) -> list[Group]:
    """Return windows in which one source (n,) gives unusually many gold labels of one class.

    Both must be beyond chance: the number, against the source's other days (Poisson, with its busiest other window as
    the mean), and the share of the class in its window, against its other days and the other sources (binomial).
    """
    k = int(codes.max()) + 1 if len(codes) else 1
    found, tested = [], 0
    for name, source in sources.items():
        outside = np.bincount(source[source >= 0], minlength=1) <= MAX_SOURCE_SHARE * len(source)
        keys = np.where((source >= 0) & outside[source], source * k + codes, -1)
        windows = Windows.of(keys, days, width=width)
        size = windows.ends - windows.starts
        of_class = np.bincount(codes, minlength=k)[codes[windows.order[windows.starts]]]
        tested += int((size >= min_rows).sum())
        for place in np.flatnonzero((size >= min_rows) & (size >= min_class_share * of_class)):
            rows = windows.rows(int(place))
            chance = _chance(rows, source=source, keys=keys, codes=codes, days=days, width=width)
            found.append(Group(name, rows, -float(np.log10(max(chance, 1e-300)))))
    limit = -np.log10(max_false_alarm / max(tested, 1))
    return apart([group for group in found if group.strength > limit])


def _chance(rows: Codes, *, source: Codes, keys: Codes, codes: Codes, days: Codes, width: int) -> float:
    """Return the larger of the two probabilities that a window has this many rows of its class."""
    from scipy.stats import binom, poisson

    m, label, key = len(rows), codes[rows[0]], keys[rows[0]]
    start = int(days[rows].min())
    own = source == source[rows[0]]
    inside = own & (days >= start) & (days < start + width)
    others = ~own
    share = float((codes[others] == label).mean()) if others.any() else 0.0
    rest = own & ~inside
    of_own = float(((codes[rest] == label).sum() + PRIOR_ROWS * share) / (rest.sum() + PRIOR_ROWS))
    by_class = binom.sf(m - 1, int(inside.sum()), max(share, of_own))
    elsewhere = np.sort(days[(keys == key) & ((days <= start - width) | (days >= start + width))])
    busiest = (np.searchsorted(elsewhere, elsewhere + width - 1, side="right") - np.arange(len(elsewhere))).max(
        initial=0
    )
    return max(float(by_class), float(poisson.sf(m - 1, max(int(busiest), 1))))


def apart(groups: list[Group]) -> list[Group]:
    """Return the strongest groups, leaving out those that mostly repeat the rows of a stronger one."""
    taken: set[int] = set()
    found = []
    for group in sorted(groups, key=lambda each: (-each.strength, each.what, int(each.rows[0]))):
        rows = set(group.rows.tolist())
        if len(rows & taken) <= len(rows) / 2:
            found.append(group)
            taken |= rows
    return found


def new_words(present: Any, days: Codes, *, width: int, min_rows: int, min_share: float) -> Iterator[tuple[int, Codes]]:
    """Yield each word, a column of `present` (n, words), that is nearly only in the texts of a few days, and its rows.

    Few are two neighboring blocks of `width` days, nearly is `min_share` of its texts.
    """
    from scipy.sparse import csr_array

    if not present.shape[1] or not len(days):
        return
    block = (days - days.min()) // width
    n_blocks = int(block.max()) + 1
    if n_blocks < 4:
        return  # everything is within a few days
    of_block = csr_array((np.ones(len(days)), (np.arange(len(days)), block)), shape=(len(days), n_blocks))
    counts = csr_array(present.T @ of_block)
    total = np.asarray(counts.sum(axis=1)).ravel()
    most = np.asarray((counts[:, :-1] + counts[:, 1:]).max(axis=1).todense()).ravel()
    columns = present.tocsc()
    for word in np.flatnonzero((total >= min_rows) & (most >= min_share * total)):
        yield int(word), columns.indices[columns.indptr[word] : columns.indptr[word + 1]].astype(np.int64)
