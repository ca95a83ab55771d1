"""Rates of two groups, their differences and ratios, each with a closed-form interval; NaN where undefined.

A protected attribute is 1 for the protected group (`member`), 0 for the rest. Every interval is two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.stats.intervals import wilson

if TYPE_CHECKING:
    import pandas as pd

Interval = tuple[float, float]
NAN = float("nan")
POWER = 0.8  # chance of finding a disparity of the size that is reported as detectable


@dataclass(frozen=True)
class RateEstimate:
    """A rate, or a comparison of rates, with its two-sided interval; `rows` of the smaller group, or all for one
    rate.
    """

    value: float
    interval: Interval
    rows: int

    @property
    def defined(self) -> bool:
        """Return whether the value is defined."""
        return math.isfinite(self.value)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, null if undefined."""
        bounds = [bound if math.isfinite(bound) else None for bound in self.interval]
        return {"value": self.value if self.defined else None, "interval": bounds, "rows": self.rows}


@dataclass(frozen=True)
class Count:
    """The rows of a group, and how many of them have the outcome."""

    hits: float
    rows: float

    @property
    def rate(self) -> float:
        """Return the share of rows with the outcome."""
        return self.hits / self.rows if self.rows else NAN


@dataclass(frozen=True)
class OddsPair:
    """One error rate (`tpr` or `fpr`) of one class in both groups."""

    label: int
    kind: str
    member: Count
    rest: Count

    @property
    def smaller(self) -> float:
        """Return the rows of the smaller group."""
        return min(self.member.rows, self.rest.rows)


def group_codes(column: pd.Series) -> np.ndarray:
    """Return a protected attribute (n,) as 1, 0, and -1 where it is not known."""
    return column.astype("Int8").fillna(-1).to_numpy(dtype=np.int8)


def count(outcome: np.ndarray, *, where: np.ndarray) -> Count:
    """Count the rows selected by `where` (n,) and those of them with the outcome (n,)."""
    return Count(hits=int(np.sum(outcome[where])), rows=int(np.sum(where)))


def rate(group: Count, *, confidence: float) -> RateEstimate:
    """Return the rate of one group with its Wilson interval."""
    return RateEstimate(group.rate, wilson(group.hits, group.rows, confidence=confidence), int(group.rows))


def newcombe(member: Count, rest: Count, *, confidence: float) -> Interval:
    """Return the hybrid score interval of a difference of proportions (Newcombe 1998, method 10)."""
    return stratified_difference([member], [rest], weights=[1.0], confidence=confidence).interval


def difference(member: Count, rest: Count, *, confidence: float) -> RateEstimate:
    """Return the statistical parity difference, rate of members minus rate of the rest, with Newcombe's interval."""
    return stratified_difference([member], [rest], weights=[1.0], confidence=confidence)


def stratified_difference(
    members: Sequence[Count], rests: Sequence[Count], *, weights: Sequence[float], confidence: float
) -> RateEstimate:
    """Return the difference of rates standardized over strata, which removes the effect of different mixes.

    sum w_s (p_s - q_s) over the strata that both groups have, with renormalized weights. The interval recovers the
    variances from the Wilson limits of each rate (Zou and Donner 2008; Yan and Su 2010), so it is valid with few rows
    per stratum.
    """
    shared = [(a, b, w) for a, b, w in zip(members, rests, weights, strict=True) if a.rows > 0 and b.rows > 0 and w > 0]
    rows = int(min(sum(a.rows for a in members), sum(b.rows for b in rests)))
    if not shared:
        return RateEstimate(NAN, (NAN, NAN), rows)
    total = sum(w for _, _, w in shared)
    value, below, above = 0.0, 0.0, 0.0
    for a, b, w in shared:
        weight = w / total
        (low_a, high_a), (low_b, high_b) = (wilson(side.hits, side.rows, confidence=confidence) for side in (a, b))
        value += weight * (a.rate - b.rate)
        below += weight**2 * ((a.rate - low_a) ** 2 + (high_b - b.rate) ** 2)
        above += weight**2 * ((high_a - a.rate) ** 2 + (b.rate - low_b) ** 2)
    interval = (max(-1.0, value - math.sqrt(below)), min(1.0, value + math.sqrt(above)))
    return RateEstimate(value, interval, rows)


def katz(member: Count, rest: Count, *, confidence: float) -> Interval:
    """Return the log interval of a ratio of proportions (Katz 1978); for rates of 0 or 1, 0.5 is added to all counts."""
    if member.rows <= 0 or rest.rows <= 0:
        return (NAN, NAN)
    if any(group.hits in (0, group.rows) for group in (member, rest)):
        member, rest = (Count(group.hits + 0.5, group.rows + 1) for group in (member, rest))
    spread = math.sqrt((1 - member.rate) / member.hits + (1 - rest.rate) / rest.hits)
    ratio_ = member.rate / rest.rate
    factor = math.exp(_z(confidence) * spread)
    return (ratio_ / factor, ratio_ * factor)


def disparate_impact(member: Count, rest: Count, *, confidence: float) -> RateEstimate:
    """Return the disparate impact, rate of members over rate of the rest; undefined if the latter is 0."""
    rows = int(min(member.rows, rest.rows))
    if not rows or rest.hits == 0:
        return RateEstimate(NAN, (NAN, NAN), rows)
    value = member.rate / rest.rate
    low, high = katz(member, rest, confidence=confidence)
    return RateEstimate(value, (min(low, value), max(high, value)), rows)


def four_fifths(impact: RateEstimate) -> RateEstimate:
    """Return the ratio of the lower to the higher rate from a disparate impact (four-fifths rule, 29 CFR 1607.4 D)."""
    if not impact.defined:
        return impact

    def fold(ratio_: float) -> float:
        return 0.0 if ratio_ == 0 else min(ratio_, 1 / ratio_)

    low, high = impact.interval
    top = 1.0 if low <= 1 <= high else max(fold(low), fold(high))
    return RateEstimate(fold(impact.value), (min(fold(low), fold(high)), top), impact.rows)


def rate_ratio(member: Count, rest: Count, *, confidence: float) -> RateEstimate:
    """Return the lower of two rates divided by the higher one, with Katz's interval folded at 1.

    The same whichever group is the member. 0 if one rate is 0; undefined if a group has no rows, and if both rates are
    0: without any such outcome, no difference can be measured.
    """
    if rest.hits == 0 and member.hits > 0:
        member, rest = rest, member
    return four_fifths(disparate_impact(member, rest, confidence=confidence))


def detectable_ratio(
    member: Count, rest: Count, *, limit: float, confidence: float, power: float = POWER
) -> float | None:
    """Return the largest ratio of rates below `limit` that a gate on `rate_ratio` finds with probability `power`.

    The group with the lower rate is assumed to be the harmed one, and the other's rate to be as observed. From Katz's
    standard error of the log ratio: log r <= log limit - (z_confidence + z_power) se(r), on a grid of a thousandth of the
    limit. None when no ratio would be found.
    """
    low, high = sorted((member, rest), key=lambda group: group.rate)
    if not low.rows or not high.hits:
        return None
    ratios = np.linspace(limit, 0.0, 1000, endpoint=False)[1:]
    expected = ratios * high.rate
    spread = np.sqrt((1 - expected) / (expected * low.rows) + (1 - high.rate) / high.hits)
    reach = _z(confidence) + NormalDist().inv_cdf(power)
    found = ratios[np.log(ratios) + reach * spread <= math.log(limit)]
    return float(found[0]) if len(found) else None


def detectable_difference(
    pairs: Sequence[tuple[Count, Count]], *, limit: float, confidence: float, power: float = POWER
) -> float | None:
    """Return the smallest difference of rates above `limit` that a gate finds with probability `power`.

    Of several pairs, that of the pair with the fewest rows to decide on. limit + (z_confidence + z_power) se, with the
    standard error of a difference of proportions at the observed rates (0.5 added to all counts). None without rows.
    """
    reach = _z(1 - (1 - confidence) / max(len(pairs), 1)) + NormalDist().inv_cdf(power)
    spreads = []
    for pair in pairs:
        if min(group.rows for group in pair) > 0:
            shifted = [Count(group.hits + 0.5, group.rows + 1) for group in pair]
            spreads.append(math.sqrt(sum(group.rate * (1 - group.rate) / group.rows for group in shifted)))
    return min(limit + reach * max(spreads), 1.0) if spreads else None


def equal_opportunity(
    truth: np.ndarray, predicted: np.ndarray, *, group: np.ndarray, n_labels: int, confidence: float
) -> RateEstimate:
    """Return the difference of true-positive rates, standardized over the classes that both groups have.

    `truth` and `predicted` are class codes (n,), -1 for no prediction; a class is weighted by its rows in both groups.
    """
    members, rests, weights = [], [], []
    for label in range(n_labels):
        is_label = truth == label
        members.append(count(predicted == label, where=is_label & (group == 1)))
        rests.append(count(predicted == label, where=is_label & (group == 0)))
        weights.append(float(members[-1].rows + rests[-1].rows))
    return stratified_difference(members, rests, weights=weights, confidence=confidence)


def equalized_odds(
    truth: np.ndarray,
    predicted: np.ndarray,
    *,
    group: np.ndarray,
    n_labels: int,
    confidence: float,
    min_class_rows: int,
) -> RateEstimate:
    """Return the largest |difference| of true- and false-positive rates over classes; an average would cancel signs.

    The interval is simultaneous (Bonferroni over the differences). Classes need `min_class_rows` in both groups; if
    no class has that many, all classes of both groups are used.
    """
    kept = odds_pairs(truth, predicted, group=group, n_labels=n_labels, min_class_rows=min_class_rows)
    rows = int(min(np.sum(group == 1), np.sum(group == 0)))
    if not kept:
        return RateEstimate(NAN, (NAN, NAN), rows)
    shared_confidence = 1 - (1 - confidence) / len(kept)
    sizes = [absolute(difference(p.member, p.rest, confidence=shared_confidence)) for p in kept]
    bounds = (max(size.interval[0] for size in sizes), max(size.interval[1] for size in sizes))
    return RateEstimate(max(size.value for size in sizes), bounds, rows)


def odds_pairs(
    truth: np.ndarray, predicted: np.ndarray, *, group: np.ndarray, n_labels: int, min_class_rows: int
) -> list[OddsPair]:
    """Return the rates that equalized odds compares: true- and false-positive rate of every class in both groups."""
    pairs = []
    for label in range(n_labels):
        for kind, where in (("tpr", truth == label), ("fpr", truth != label)):
            member, rest = (count(predicted == label, where=where & (group == value)) for value in (1, 0))
            pairs.append(OddsPair(label, kind, member, rest))
    shared = [pair for pair in pairs if pair.smaller > 0]
    return [pair for pair in shared if pair.smaller >= min_class_rows] or shared


def absolute(signed: RateEstimate) -> RateEstimate:
    """Return the absolute value of a difference, with its interval folded at 0."""
    if not signed.defined:
        return signed
    low, high = signed.interval
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return RateEstimate(abs(signed.value), (least, max(abs(low), abs(high))), signed.rows)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)
