"""How often does the drift alarm fire without drift, and how reliably with drift?

`python -m benchmarks.drift_null [--only weeks|tail] [--replicates 1000] [--seed 7000]` (ten minutes on two cores). Every
replicate draws a reference of K weeks and two live weeks of 50 columns, with a weekday cycle (0.3 sd) and day effects
(0.2 sd; independent, or autocorrelated at 0.7), freezes ten quantile bins on the reference, and calls the code that
production calls. Plain PSI > 0.2 is evaluated too. `--only tail` draws categories with many values instead, and real
columns with shuffled dates (`cfpb/complaints.csv.gz` below PERENNIAL_REAL_DATA), and freezes and counts them as
production does.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from benchmarks.out import write_figures, write_section
from benchmarks.texts import real_file
from pipelines.live.drift.alarms import find_breaches
from pipelines.live.drift.weeks import rank_week, sum_weeks
from pipelines.stats.histogram import count_days, freeze_category, psi
from pipelines.stats.tail import SPANS, count_tail, split_tail

BINS, COLUMNS, CATEGORIES = 10, 50, 10  # the last ten columns are categories
WEEKDAY, DAY = 0.3, 0.2
Array = NDArray[np.float64]


def day_effects(rng: np.random.Generator, *, days: int, columns: int, autocorrelation: float) -> Array:
    """Return day effects (days, columns) in units of one row's sd: stationary, sd 0.2 for any autocorrelation."""
    effects = rng.normal(0, 1, (days, columns))
    for day in range(1, days):
        effects[day] = autocorrelation * effects[day - 1] + np.sqrt(1 - autocorrelation**2) * effects[day]
    return DAY * effects


def number_counts(
    rng: np.random.Generator, *, rows: NDArray[np.int64], mean: Array, reference_days: int
) -> NDArray[np.int64]:
    """Return counts (days, columns, bins) of normal rows around each day's mean, in ten quantile bins of the reference.

    With few rows every row is drawn and the quantiles are those of the drawn reference; from 12,000 reference rows on,
    where their error no longer shows, the counts of a day are drawn at once from the bins' exact probabilities.
    """
    days, columns = mean.shape
    out = np.zeros((days, columns, BINS + 2), dtype=np.int64)
    if rows[:reference_days].sum() < 12_000:
        day = np.repeat(np.arange(days), rows)
        values = (mean[day] + rng.standard_normal((len(day), columns))).astype(np.float32)
        edges = np.quantile(values[: rows[:reference_days].sum()], np.arange(1, BINS) / BINS, axis=0)
        for column in range(columns):
            codes = np.searchsorted(edges[:, column], values[:, column])
            out[:, column, :BINS] = np.bincount(day * BINS + codes, minlength=days * BINS).reshape(days, BINS)
        return out
    middle = mean[:reference_days].mean(axis=0)
    spread = np.sqrt(1 + mean[:reference_days].var(axis=0))
    edges = middle + ndtri(np.arange(1, BINS) / BINS)[:, None] * spread
    below = np.zeros((days, columns, BINS + 1))
    below[:, :, 1:-1] = ndtr(edges.T[None] - mean[:, :, None])
    below[:, :, -1] = 1
    out[:, :, :BINS] = rng.multinomial(np.broadcast_to(rows[:, None], mean.shape), np.diff(below, axis=2))
    return out


def category_counts(rng: np.random.Generator, *, rows: NDArray[np.int64], logits: Array) -> NDArray[np.int64]:
    """Return counts (days, columns, categories); each day draws from its own shares."""
    shares = np.exp(logits)
    shares /= shares.sum(axis=2, keepdims=True)
    out = np.zeros((*logits.shape[:2], BINS + 2), dtype=np.int64)
    out[:, :, :CATEGORIES] = rng.multinomial(np.broadcast_to(rows[:, None], logits.shape[:2]), shares)
    return out


def draw(
    rng: np.random.Generator,
    *,
    rows_per_week: int,
    n_weeks: int,
    autocorrelation: float,
    shift: float = 0,
    share: float = 0,
) -> NDArray[np.int64]:
    """Return weeks of counts: K of reference, and two live ones with a column shifted by `shift` or a share set to
    `share`.
    """
    days = 7 * (n_weeks + 2)
    weekday = np.arange(days) % 7
    rows = rng.poisson(rows_per_week / 7, size=days)
    numbers, live = COLUMNS - 10, slice(7 * n_weeks, None)
    mean = rng.normal(0, WEEKDAY, (7, numbers))[weekday]
    mean = mean + day_effects(rng, days=days, columns=numbers, autocorrelation=autocorrelation)
    mean[live, 0] += shift
    logits = rng.normal(0, WEEKDAY, (7, 10 * CATEGORIES))[weekday]
    logits = logits + day_effects(rng, days=days, columns=10 * CATEGORIES, autocorrelation=autocorrelation)
    logits = logits.reshape(days, 10, CATEGORIES)
    if share:
        # One of ten categories goes from a tenth to `share`, and all others shrink by the same factor.
        logits[live, 0, 0] += np.log(share / (1 - share)) - np.log(0.1 / 0.9)
    counts = np.concatenate(
        [
            number_counts(rng, rows=rows, mean=mean, reference_days=7 * n_weeks),
            category_counts(rng, rows=rows, logits=logits),
        ],
        axis=1,
    )
    return counts.reshape(n_weeks + 2, 7, COLUMNS, BINS + 2).sum(axis=1)


def simulate(task: dict[str, Any]) -> dict[str, Any]:
    """Return the shares of alerts and breaches over the replicates of one cell."""
    rng = np.random.default_rng(task["seed"])
    mask = np.ones((COLUMNS, BINS + 2), dtype=bool)
    K = task["n_weeks"]
    column = {"number": 0, "category": COLUMNS - 10}.get(task.get("moved", ""))
    tally = dict.fromkeys(("first", "alert", "second_alert", "breach", "plain"), 0)
    began = time.monotonic()
    for _ in range(task["replicates"]):
        weeks = draw(
            rng,
            rows_per_week=task["rows"],
            n_weeks=K,
            autocorrelation=task["autocorrelation"],
            shift=task.get("shift", 0),
            share=task.get("share", 0),
        )
        before = rank_week(weeks[:K], weeks[K], mask=mask)
        after = rank_week(weeks[:K], weeks[K + 1], mask=mask)
        first, _ = find_breaches(before, None, alert_excess=0.1, breach_excess=0.2, optimistic_p=1 / 27)
        second, breach = find_breaches(after, before, alert_excess=0.1, breach_excess=0.2, optimistic_p=1 / 27)
        if column is not None:
            first, second, breach = first[column], second[column], breach[column]
        plain = psi(weeks[:K].sum(axis=0), weeks[K], mask=mask) > 0.2
        tally["first"] += int((before.rank == 1).any())
        tally["alert"] += int(np.any(first))
        tally["second_alert"] += int(np.any(second))
        tally["breach"] += int(np.any(breach))
        tally["plain"] += int(np.any(plain))
    rates = {name: count / task["replicates"] for name, count in tally.items()}
    return {**task, **rates, "nominal": 1 / (K + 1), "seconds": round(time.monotonic() - began, 1)}


def count_categories(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return counts (weeks, 1, bins) of values (weeks, rows), frozen on all weeks but the last two, as a profile does."""
    n_weeks, rows = len(values) - 2, values.shape[1]
    days = np.repeat(7 * np.arange(n_weeks), rows)
    reference = pd.Series(values[:-2].ravel())
    bins = freeze_category(reference, name="x", most=50, periods=(days - 7 * n_weeks) // (7 * SPANS[-1]))
    parts = [(reference, days, 7 * n_weeks), *((pd.Series(week), days[:rows], 7) for week in values[-2:])]
    counted = []
    for part, at, n_days in parts:
        counts = count_days(part, bins=bins, days=at, n_days=n_days)
        if bins.others:
            known = n_days > 7
            tail = count_tail(part, bins=bins, days=at, n_days=n_days, span=1, reference=known)
            counts = split_tail(counts, tail)
        counted.append(sum_weeks(counts, most=n_weeks))
    weeks: NDArray[np.int64] = np.concatenate(counted)[:, None]
    return weeks


def simulate_tail(task: dict[str, Any]) -> dict[str, Any]:
    """Return the shares of alerts and breaches of one column of categories, and of new categories that were caught."""
    rng = np.random.default_rng(task["seed"])
    K, rows = task["n_weeks"], task["rows"]
    if isinstance(task["values"], int):
        weights = 1 / np.arange(1, task["values"] + 1)
        below = np.cumsum(weights / weights.sum())
    else:
        real = pd.factorize(pd.read_csv(task["file"], usecols=[task["values"]])[task["values"]].fillna("none"))[0]
    tally = dict.fromkeys(("first", "alert", "breach", "caught"), 0)
    for _ in range(task["replicates"]):
        if isinstance(task["values"], int):
            values = np.searchsorted(below, rng.random((K + 2, rows)))
        else:
            values = rng.permutation(real)[: (K + 2) * rows].reshape(K + 2, rows)
        for new in (False, True):
            if new:
                values[K, : rows // 10] = 10**9
            weeks = count_categories(values)
            mask = np.ones(weeks.shape[1:], dtype=bool)
            before = rank_week(weeks[:K], weeks[K], mask=mask)
            after = rank_week(weeks[:K], weeks[K + 1], mask=mask)
            alert, breach = find_breaches(after, before, alert_excess=0.1, breach_excess=0.2, optimistic_p=1 / 27)
            first, _ = find_breaches(before, None, alert_excess=0.1, breach_excess=0.2, optimistic_p=1 / 27)
            if new:
                tally["caught"] += int(first[0])
                break
            tally["first"] += int(before.rank[0] == 1) + int(after.rank[0] == 1)
            tally["alert"] += int(first[0]) + int(alert[0])
            tally["breach"] += int(breach[0])
    n = task["replicates"]
    rates = {name: count / (2 * n if name in ("first", "alert") else n) for name, count in tally.items()}
    return {**task, **rates, "nominal": 1 / (K + 1)}


def tail_tasks(replicates: int) -> list[dict[str, Any]]:
    """Return the cells of the long tail: Zipf columns, and real ones with shuffled dates where the file is there."""
    tasks: list[dict[str, Any]] = [
        {"values": n_values, "rows": rows}
        for n_values in (10, 1_000, 20_000, 100_000)
        for rows in (40, 200, 1000, 5000)
    ]
    file = real_file("cfpb/complaints.csv.gz")
    if file is not None:
        tasks += [
            {"values": name, "rows": rows, "file": str(file)}
            for name in ("Company", "ZIP code", "State")
            for rows in (40, 200, 450)
        ]
    # Large weeks take long, and only their small rates are of interest.
    return [
        {**task, "n_weeks": 26, "replicates": max(replicates // (1 + task["rows"] // 400), 10), "seed": 9_000 + number}
        for number, task in enumerate(tasks)
    ]


def tail_table(answers: list[dict[str, Any]]) -> str:
    """Return the figures of the long tail as a Markdown table, next to the promised rates."""
    lines = [
        "## Drift: categories with many values (`python -m benchmarks.drift_null --only tail`)",
        "",
        "One column without drift, 26 weeks of reference: Zipf-distributed values, and real complaints (12,689) with "
        "shuffled dates. 40 rows are two weeks of 20 rows, compared as one. Promise: alerts at most 5.6 %, breaches at "
        "most 0.3 %. Last column: share of weeks in which a new category with 10 % of the rows alerts at once.",
        "",
        "| values | rows per week | weeks | ranks first | alert | breach | new category caught |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in answers:
        name = f"{row['values']:,}" if isinstance(row["values"], int) else f"real {row['values']}"
        lines.append(
            f"| {name} | {row['rows']:,} | {2 * row['replicates']:,} | {row['first']:.1%} | **{row['alert']:.1%}** | "
            f"{row['breach']:.2%} | {row['caught']:.0%} |"
        )
    total = sum(2 * row["replicates"] for row in answers)
    alerts = sum(row["alert"] * 2 * row["replicates"] for row in answers) / total
    breaches = sum(row["breach"] * row["replicates"] for row in answers)
    lines += ["", f"All {total:,} weeks: {alerts:.2%} alert, {breaches:.0f} of {total // 2:,} pairs of weeks breach."]
    return "\n".join(lines)


def main() -> None:
    """Simulate every cell, and write the figures and the tables of benchmarks/README.md."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--replicates", type=int, default=1000)
    arguments.add_argument("--only", choices=["weeks", "tail"])
    arguments.add_argument("--processes", type=int, default=2)
    arguments.add_argument("--seed", type=int, default=7_000)
    options = arguments.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:
        if options.only != "weeks":
            tails = list(pool.map(simulate_tail, tail_tasks(options.replicates)))
            write_figures("drift_tail", [{k: v for k, v in row.items() if k != "file"} for row in tails])
            write_section("drift_tail", tail_table(tails))
        if options.only == "tail":
            return
    base = {"replicates": options.replicates}
    null = [
        {**base, "autocorrelation": rho, "n_weeks": K, "rows": rows}
        for rho in (0.0, 0.7)
        for K in (26, 52)
        for rows in (50, 200, 1000, 5000)
    ]
    moves: list[dict[str, Any]] = [
        *({"moved": "number", "shift": shift} for shift in (0.5, 0.8)),
        *({"moved": "category", "share": share} for share in (0.25, 0.30, 0.35)),
    ]
    power = [
        {**base, **move, "autocorrelation": rho, "n_weeks": K, "rows": 1000}
        for rho in (0.0, 0.7)
        for K in (26, 52)
        for move in moves
    ]
    tasks = [{**task, "seed": options.seed + index} for index, task in enumerate([*null, *power])]
    with ProcessPoolExecutor(options.processes) as pool:
        answers = list(pool.map(simulate, tasks))
    write_figures("drift_null", answers)
    write_section("drift_null", table(answers[: len(null)], answers[len(null) :]))


def table(null: list[dict[str, Any]], power: list[dict[str, Any]]) -> str:
    """Return the figures as two Markdown tables, next to the promised rates."""
    lines = [
        "## Drift: false alarms and power (`python -m benchmarks.drift_null`)",
        "",
        "Share of weeks without drift in which any column alarms: 50 columns, weekday cycle 0.3 sd, day "
        f"effects 0.2 sd, {null[0]['replicates']:,} independent weeks per row of the table. Promise: alerts at most 1.5 / (K + 1), "
        "breaches at most 0.3 %.",
        "",
        "| days | K | rows per week | ranks first | alert | promised | breach | plain PSI > 0.2 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in null:
        kind = "autocorrelated .7" if row["autocorrelation"] else "independent"
        lines.append(
            f"| {kind} | {row['n_weeks']} | {row['rows']:,} | {row['first']:.1%} | **{row['alert']:.1%}** | "
            f"{1.5 * row['nominal']:.1%} | {row['breach']:.2%} | {row['plain']:.1%} |"
        )
    lines += [
        "",
        "One of the 50 columns shifts, 1,000 rows per week: share of replicates in which *that* column alerts in the "
        "first full week and breaches in the second. The lower half shows the cost of strong autocorrelation.",
        "",
        "| days | K | shift | alert, first week | breach, second week |",
        "|---|---|---|---|---|",
    ]
    for row in power:
        kind = "autocorrelated .7" if row["autocorrelation"] else "independent"
        move = f"{row['shift']} sd" if row["moved"] == "number" else f"10 % to {row['share']:.0%}"
        lines.append(f"| {kind} | {row['n_weeks']} | {move} | {row['alert']:.1%} | {row['breach']:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
