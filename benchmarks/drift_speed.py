"""Time of one drift evaluation: 20 columns, 500,000 reference and 50,000 live rows, a stored profile against Evidently.

`python -m benchmarks.drift_speed`. Counts per day are only summed; Evidently bins reference and window every time.
"""

import statistics
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.out import write_figures, write_section
from pipelines.live.drift.live import count_live
from pipelines.live.drift.weeks import rank_week, sum_weeks
from pipelines.profile.freeze import ProfileParams, build_profile
from pipelines.stats.histogram import psi

START, END, NOW = date(2025, 1, 6), date(2026, 1, 5), date(2026, 1, 12)
REPEATS = 5


def rows(rng: np.random.Generator, *, n: int, first: date, days: int) -> pd.DataFrame:
    """Return rows with 15 numbers and 5 categories, spread evenly over the days."""
    seconds = np.sort(rng.uniform(0, days * 86_400, n))
    frame: dict[str, Any] = {"received_at": pd.Timestamp(first, tz="UTC") + pd.to_timedelta(seconds, unit="s")}
    frame |= {f"number_{i}": rng.normal(0, 1, n) for i in range(15)}
    frame |= {
        f"category_{i}": pd.Categorical(rng.choice([f"c{j}" for j in range(20)], n)).astype(str) for i in range(5)
    }
    return pd.DataFrame(frame)


def seconds_of(run: Callable[[], Any]) -> float:
    """Return the median seconds of a few runs."""
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    """Measure both in one process, and write the table."""
    rng = np.random.default_rng(0)
    reference = rows(rng, n=500_000, first=START, days=364)
    live = rows(rng, n=50_000, first=END, days=7)
    numbers = [f"number_{i}" for i in range(15)]
    categories = [f"category_{i}" for i in range(5)]
    params = ProfileParams(bins=10, max_categories=50, max_words=0, min_texts=1, directions=0)
    profile = build_profile(
        reference,
        start=START,
        end=END,
        domain="speed",
        model_digest="0" * 64,
        categories=categories,
        numbers=numbers,
        labels=("a", "b"),
        params=params,
    )
    log = live.assign(record_id=np.arange(len(live)).astype(str), model_version=1, role="champion", label="a")

    def ours() -> None:
        from pipelines.stats.histogram import stack

        counted = count_live(log, profile=profile, model_version=1, end=NOW, n_days=7, texts=None)
        counts, mask = stack([column.counts for column in profile.columns])
        current, _ = stack([counted.counts[column.name] for column in profile.columns])
        rank_week(sum_weeks(counts, most=52), current.sum(axis=0), mask=mask)

    def only_psi() -> None:
        for column in profile.columns:
            codes = column.bins.codes(live[column.name])
            psi(column.counts.sum(axis=0), np.bincount(codes, minlength=column.bins.n_bins))

    def theirs() -> None:
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
        names = [*numbers, *categories]
        Report([DataDriftPreset(method="psi")]).run(
            Dataset.from_pandas(live[names], data_definition=definition),
            Dataset.from_pandas(reference[names], data_definition=definition),
        )

    theirs()  # its import is not counted
    figures = {
        "weekly rank null": seconds_of(ours),
        "psi alone": seconds_of(only_psi),
        "evidently psi": seconds_of(theirs),
    }
    write_figures("drift_speed", figures)
    lines = [
        "## Drift: one evaluation (`python -m benchmarks.drift_speed`)",
        "",
        "20 columns, 50,000 live rows, 500,000 reference rows, median of five runs in one process.",
        "",
        "| | seconds |",
        "|---|---|",
        f"| stored profile, live rows counted, 53 weeks ranked | {figures['weekly rank null']:.3f} |",
        f"| stored profile, PSI alone | {figures['psi alone']:.3f} |",
        f"| Evidently 0.7 PSI | {figures['evidently psi']:.2f} |",
    ]
    write_section("drift_speed", "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
