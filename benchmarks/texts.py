"""Texts to measure with: the real narratives where they are at hand, else those of the simulator.

The real ones are consumer complaints as the CFPB publishes them, a CSV with the columns `narrative` and `product`, in
`$PERENNIAL_REAL_DATA/cfpb/narratives.csv.gz`. A benchmark that can do without them says which texts it took.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
from datetime import date
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
NARRATIVES = "cfpb/narratives.csv.gz"
SIMULATED_WINDOW = date(2025, 10, 6), date(2026, 4, 6)


def real_file(name: str) -> Path | None:
    """A file of the real data, or None where there is none, said on the terminal."""
    file = Path(os.environ.get("PERENNIAL_REAL_DATA", ROOT.parent / "shared" / "data")) / name
    if file.is_file():
        return file
    print(f"there is no {file}; PERENNIAL_REAL_DATA names the folder of the real data")
    return None


def narratives() -> tuple[list[str], str]:
    """Distinct texts and what they are."""
    file = real_file(NARRATIVES)
    if file is not None:
        with gzip.open(file, "rt", encoding="utf-8", newline="") as stream:
            return list(dict.fromkeys(row["narrative"] for row in csv.DictReader(stream))), "real narratives"
    return simulated(), "simulated narratives (no real data here)"


def simulated() -> list[str]:
    """Distinct texts of half a year of the simulated stream, with a seed of their own."""
    from pipelines.records.domain import load_domain
    from pipelines.runtime.params import domain_path, section

    domain = load_domain(domain_path(ROOT))
    start, end = SIMULATED_WINDOW
    texts: dict[str, None] = {}
    for raw in domain.simulate(start=start, end=end, seed=5, **section("simulator", ROOT)):
        texts.update(dict.fromkeys(domain.to_records(domain.normalize(raw))["text"].dropna()))
    return list(texts)


def sentences(text: str) -> list[str]:
    """A text cut after each full stop, question or exclamation mark."""
    return [piece for piece in re.split(r"(?<=[.!?])\s+", text) if piece]


def recombined(texts: list[str], *, n_texts: int, random: np.random.Generator) -> list[str]:
    """The first `n_texts` texts and, where there are fewer, mixtures of their sentences of the same lengths."""
    out = texts[:n_texts]
    pieces = [sentences(text) for text in texts]
    flat = [piece for text in pieces for piece in text]
    while len(out) < n_texts:
        length = len(pieces[int(random.integers(len(pieces)))])
        out.append(" ".join(flat[int(at)] for at in random.integers(0, len(flat), length)))
    return out
