"""Evaluate history day by day with today's thresholds: which days would have triggered, on what, at what cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.live.drift.alarms import OPTIMISTIC_P, find_breaches
from pipelines.live.drift.params import AlarmParams, DecisionParams
from pipelines.live.drift.weeks import Scored, score_live
from pipelines.stats.histogram import Kind, as_category, day_numbers, stack, to_numbers
from pipelines.stats.tail import SPANS, is_frequent, split_tail

CELLS = 512  # fine quantile cells of a number over all of history, from which each evaluation freezes its own ten bins
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class History:
    """One column of history as counts by day and level, cumulated from the first day, missing values last."""

    name: str
    kind: Kind
    levels: tuple[str, ...]
    cumulated: Counts  # (days + 1, levels + 1)

    def between(self, first: int, last: int) -> Counts:
        """Return the counts of the days `first <= day < last`."""
        counts: Counts = self.cumulated[last] - self.cumulated[first]
        return counts

    def bins(self, weeks: Counts, *, bins: int, max_categories: int) -> NDArray[np.int64]:
        """Return the bin of each level, frozen on weeks of reference (K, levels + 1); the last two are UNSEEN and MISSING.

        As in a profile, a category that only four weeks in a row have gets no bin of its own.
        """
        known = weeks[:, :-1].sum(axis=0)
        if self.kind == "category":
            period = (np.arange(len(weeks)) - len(weeks)) // SPANS[-1]
            periods = [weeks[period == one, :-1].any(axis=0) for one in np.unique(period)]
            lasting = np.sum(periods, axis=0) > min(1, len(periods) - 1)
            order = np.lexsort((np.arange(len(known)), -known, ~lasting))
            place = np.empty(len(known), dtype=np.int64)
            place[order] = np.arange(len(known))
            top = min(max_categories, int((lasting & (known > 0)).sum()))
            place = np.where(known == 0, top + 1, np.minimum(place, top))
            return np.append(place, top + 2)
        below = np.cumsum(known) / max(int(known.sum()), 1)
        edges = np.unique(np.searchsorted(below, np.arange(1, bins) / bins - 1e-12))
        return np.append(np.searchsorted(edges, np.arange(len(known)), side="left"), len(edges) + 2)


@dataclass(frozen=True)
class Settings:
    """How history is evaluated: weeks of reference, how bins are frozen on them, and when a column alerts."""

    n_weeks: int
    bins: int
    max_categories: int
    alarm: AlarmParams


@dataclass(frozen=True)
class Evaluation:
    """What the evaluation of the week before `end` found."""

    end: date
    rows: int
    scored: Scored
    alerts: tuple[str, ...]
    breaches: tuple[str, ...]
    enough: bool


def summarize(values: "pd.Series[Any]", *, name: str, kind: Kind, days: NDArray[np.int64], n_days: int) -> History:
    """Count a column of history by day and level."""
    missing = values.isna().to_numpy(dtype=bool)
    if kind == "category":
        codes, uniques = pd.factorize(values, use_na_sentinel=True)
        levels = tuple(as_category(value) for value in uniques)
    else:
        numbers = to_numbers(values)
        missing = np.isnan(numbers)
        cuts = (
            np.unique(np.quantile(numbers[~missing], np.arange(1, CELLS) / CELLS)) if (~missing).any() else np.empty(0)
        )
        codes = np.searchsorted(cuts, numbers, side="left")
        levels = (*(f"{cut:.6g}" for cut in cuts), "above")
    width = len(levels) + 1
    codes = np.where(missing, width - 1, codes)
    inside = (days >= 0) & (days < n_days)
    counts = np.bincount(days[inside] * width + codes[inside], minlength=n_days * width).reshape(n_days, width)
    cumulated = np.vstack([np.zeros((1, width), dtype=np.int64), np.cumsum(counts, axis=0)])
    return History(name=name, kind=kind, levels=levels, cumulated=cumulated.astype(np.int64))


def read_history(
    frame: pd.DataFrame, *, kinds: Mapping[str, Kind], start: date, end: date, time_column: str
) -> list[History]:
    """Return columns of a frame as history from `start` to `end`."""
    days = day_numbers(frame[time_column], first_day=start)
    n_days = (end - start).days
    return [summarize(frame[name], name=name, kind=kind, days=days, n_days=n_days) for name, kind in kinds.items()]


def evaluate_history(
    history: Sequence[History], *, start: date, end: date, every: int, settings: Settings
) -> list[Evaluation]:
    """Evaluate every `every` days: the week before the day and the week before that, against the weeks before both."""
    n_days = (end - start).days
    first = 7 * settings.n_weeks + 14
    return [_evaluate(history, day=day, start=start, settings=settings) for day in range(first, n_days + 1, every)]


def _evaluate(history: Sequence[History], *, day: int, start: date, settings: Settings) -> Evaluation:
    """Evaluate the week before day number `day` of history."""
    n_weeks, alarm = settings.n_weeks, settings.alarm
    first = day - 14 - 7 * n_weeks
    starts = np.arange(first, day, 7)
    columns = []
    for column in history:
        weeks = column.cumulated[starts + 7] - column.cumulated[starts]
        place = column.bins(weeks[:n_weeks], bins=settings.bins, max_categories=settings.max_categories)
        columns.append(_binned(weeks, place, n_reference=n_weeks, category=column.kind == "category"))
    counts, mask = stack(columns)
    by_day = np.repeat(counts[:n_weeks, None], 1, axis=1)  # weeks of one "day": ranked as they are
    live = score_live(by_day, counts[n_weeks + 1][None], mask=mask, params=alarm)
    before = score_live(by_day, counts[n_weeks][None], mask=mask, params=alarm)
    alert, breach = find_breaches(
        live,
        before,
        alert_excess=alarm.alert_excess,
        breach_excess=alarm.breach_excess,
        optimistic_p=OPTIMISTIC_P,
    )
    rows = int(counts[n_weeks + 1].sum(axis=1).max())
    enough = rows >= alarm.min_rows and int(counts[n_weeks].sum(axis=1).max()) >= alarm.min_rows
    names = [column.name for column in history]
    return Evaluation(
        end=start + timedelta(days=day),
        rows=rows,
        scored=live,
        alerts=tuple(name for name, flag in zip(names, alert & enough, strict=True) if flag),
        breaches=tuple(name for name, flag in zip(names, breach & enough, strict=True) if flag),
        enough=enough,
    )


def _binned(weeks: Counts, place: NDArray[np.int64], *, n_reference: int, category: bool) -> Counts:
    """Return counts (weeks, bins); rare categories are classed as `stats.tail` does for a profile and live rows."""
    n_bins = int(place[-1]) + 1
    onehot = np.zeros((len(place), n_bins), dtype=np.float64)
    onehot[np.arange(len(place)), place] = 1
    counts: Counts = (weeks @ onehot).astype(np.int64)
    if not category or not (place == n_bins - 3).any():
        return counts
    rare = (place == n_bins - 3) | (place == n_bins - 2)
    size = weeks[:, rare]
    new = np.repeat((place == n_bins - 2)[rare][None], len(weeks), axis=0)
    new[:n_reference] = (size[:n_reference] > 0).sum(axis=0) == 1
    frequent = is_frequent(size, rows=weeks.sum(axis=1)[:, None])
    tail = np.column_stack([(size * frequent).sum(axis=1), (size * (new & ~frequent)).sum(axis=1)])
    return split_tail(counts, tail)


def triggers(evaluations: Sequence[Evaluation], *, params: DecisionParams) -> list[dict[str, Any]]:
    """Return the retrainings that breaches would have triggered, or pages when the budget was spent."""
    triggered: list[dict[str, Any]] = []
    last: date | None = None
    spent: dict[str, float] = {}
    for evaluation in evaluations:
        if not evaluation.breaches:
            continue
        month = evaluation.end.strftime("%Y-%m")
        if last is not None and evaluation.end < last + timedelta(days=params.cooldown_days):
            continue
        if spent.get(month, 0) + params.retrain_minutes > params.max_minutes_per_month:
            triggered.append(
                {
                    "day": evaluation.end.isoformat(),
                    "columns": list(evaluation.breaches),
                    "action": "page",
                    "minutes": 0.0,
                }
            )
            continue
        spent[month] = spent.get(month, 0) + params.retrain_minutes
        last = evaluation.end
        triggered.append(
            {
                "day": evaluation.end.isoformat(),
                "columns": list(evaluation.breaches),
                "action": "retrain",
                "minutes": params.retrain_minutes,
            }
        )
    return triggered


def as_rows(evaluations: Sequence[Evaluation], *, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the evaluations as plain rows for `replay.json`."""
    return [
        {
            "end": evaluation.end.isoformat(),
            "rows": evaluation.rows,
            "alerts": list(evaluation.alerts),
            "breaches": list(evaluation.breaches),
            "decided": evaluation.enough,
            "excess": {
                name: round(float(value), 6)
                for name, value in zip(columns, evaluation.scored.excess, strict=True)
                if np.isfinite(value)
            },
        }
        for evaluation in evaluations
    ]
