"""Texts to measure with: the real narratives where they are available, otherwise those of the simulator.

The real ones are consumer complaints as the CFPB publishes them, a CSV with the columns `narrative` and `product`, in
`$PERENNIAL_REAL_DATA/cfpb/narratives.csv.gz`. A benchmark that works without them reports which texts it used.
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
    """Return a file of the real data; print a message and return None when it is missing."""
    file = Path(os.environ.get("PERENNIAL_REAL_DATA", ROOT.parent / "shared" / "data")) / name
    if file.is_file():
        return file
    print(f"{file} is missing; PERENNIAL_REAL_DATA names the folder of the real data")
    return None


def narratives() -> tuple[list[str], str]:
    """Return distinct texts, and a description of them."""
    file = real_file(NARRATIVES)
    if file is not None:
        with gzip.open(file, "rt", encoding="utf-8", newline="") as stream:
            return list(dict.fromkeys(row["narrative"] for row in csv.DictReader(stream))), "real narratives"
    return simulated(), "simulated narratives (real data is missing)"


def simulated() -> list[str]:
    """Return the distinct texts of half a year of the simulated stream, with another seed than the demo's."""
    from pipelines.records.domain import Domain
    from pipelines.runtime.project import Project

    project = Project.open(ROOT)
    domain = Domain(project.domain_folder)
    start, end = SIMULATED_WINDOW
    texts: dict[str, None] = {}
    for raw in domain.simulate(start=start, end=end, seed=5, **project.parameters.section("simulator")):
        texts.update(dict.fromkeys(domain.to_records(domain.normalize(raw))["text"].dropna()))
    return list(texts)


def sentences(text: str) -> list[str]:
    """Split a text after each full stop, question mark or exclamation mark."""
    return [piece for piece in re.split(r"(?<=[.!?])\s+", text) if piece]


def recombined(texts: list[str], *, n_texts: int, random: np.random.Generator) -> list[str]:
    """Return the first `n_texts` texts and, where these are fewer, mixtures of their sentences of the same lengths."""
    out = texts[:n_texts]
    pieces = [sentences(text) for text in texts]
    flat = [piece for text in pieces for piece in text]
    while len(out) < n_texts:
        length = len(pieces[int(random.integers(len(pieces)))])
        out.append(" ".join(flat[int(at)] for at in random.integers(0, len(flat), length)))
    return out
