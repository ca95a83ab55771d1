"""Labeling functions against snorkel's PandasLFApplier, on complaint narratives scaled up.

    python -m benchmarks.labeling [--texts 40000] [--rounds 3]

Texts are narratives (see benchmarks/texts.py) and recombinations of their sentences. The functions are the
patterns of the domain that params.yaml names; for snorkel each is a precompiled regular expression on text that is
lowered once, which is faster than what its tutorials do. One thread each, in this process, in turns. The medians are
compared, and every cell of the two matrices.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is imported

import numpy as np
import pandas as pd

from benchmarks.out import write_figures, write_section
from benchmarks.texts import narratives, recombined

ROOT = Path(__file__).resolve().parent.parent
REQUIRED_RATIO, SEED = 20.0, 7


def snorkel_applier(functions: list[Any], *, labels: tuple[str, ...]) -> Callable[[pd.DataFrame], np.ndarray]:
    """Return snorkel's applier of the same functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from snorkel.labeling import LabelingFunction, PandasLFApplier

    def declare(function: Any) -> Any:
        code, regex = labels.index(function.label), re.compile(function.regex)
        unless = re.compile(function.unless) if function.unless else None

        def vote(row: Any) -> int:
            if regex.search(row.lowered) is None or (unless is not None and unless.search(row.lowered)):
                return -1
            return code

        return LabelingFunction(name=function.name, f=vote)

    applier = PandasLFApplier([declare(function) for function in functions])

    def apply(records: pd.DataFrame) -> np.ndarray:
        return applier.apply(records.assign(lowered=records["text"].str.lower()), progress_bar=False)

    return apply


def table(result: dict[str, Any]) -> str:
    """Return the section of benchmarks/README.md; ratios hold on other machines, seconds do not."""
    return f"""## Labeling functions: {result["ratio"]:.0f} times as fast as snorkel's PandasLFApplier

`python -m benchmarks.labeling --texts {result["texts"]}`: {result["texts"]:,} texts ({result["megabytes"]:.0f} MB),
{result["of"]} and recombinations of them; the domain's {result["functions"]} patterns; medians of {result["rounds"]}
rounds in turns, one thread each. Cells that differ: {result["cells_that_differ"]} of {result["cells"]:,}.

| method | s |
|---|---|
| `records.labeling.vote_matrix` | {result["seconds"]["ours"]:.2f} |
| snorkel `PandasLFApplier`, text lowered once | {result["seconds"]["snorkel"]:.2f} |"""


def main() -> int:
    """Measure, write figures and table, and return 1 when a cell differs or the ratio is too small."""
    from pipelines.records.domain import Domain
    from pipelines.records.labeling import vote_matrix
    from pipelines.runtime.project import Project

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    domain = Domain(Project.open(ROOT).domain_folder)
    labels = domain.schema.labels
    functions = [function for function in domain.labeling_functions if function.regex is not None]
    given, what = narratives()
    texts = recombined(given, n_texts=arguments.texts, random=np.random.default_rng(SEED))
    records = pd.DataFrame({"id": [f"{n:07d}" for n in range(len(texts))], "text": texts})
    theirs = snorkel_applier(functions, labels=labels)
    methods = {"ours": lambda: vote_matrix(functions, records, labels=labels), "snorkel": lambda: theirs(records)}
    vote_matrix(functions, records.head(10), labels=labels)
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    votes: dict[str, np.ndarray] = {}
    for _ in range(arguments.rounds):
        for name, method in methods.items():
            began = time.perf_counter()
            votes[name] = method()
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "texts": len(texts),
        "of": what,
        "megabytes": sum(len(text.encode()) for text in texts) / 1e6,
        "functions": len(functions),
        "rounds": arguments.rounds,
        "seconds": medians,
        "all_seconds": seconds,
        "ratio": medians["snorkel"] / medians["ours"],
        "required_ratio": REQUIRED_RATIO,
        "cells": int(votes["ours"].size),
        "cells_that_differ": int((votes["ours"] != votes["snorkel"]).sum()),
        "coverage": float((votes["ours"] != -1).any(axis=1).mean()),
    }
    write_figures("labeling", result)
    write_section("labeling", table(result))
    print(table(result))
    good = result["cells_that_differ"] == 0 and result["ratio"] >= REQUIRED_RATIO
    print("passed" if good else f"FAILED: every cell must be equal and the ratio at least {REQUIRED_RATIO:.0f}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
