"""Dedupe against datasketch, on complaint narratives scaled up, with known near duplicates planted among them.

    python -m benchmarks.dedupe [--texts 100000] [--rounds 3]

Texts are made by recombining sentences of the narratives (see benchmarks/texts.py); then some are copied with a
few words changed so that each pair has an exact Jaccard similarity of 0.8 or more over 5-word shingles. Both methods
run in this process, in turns; the medians are compared. Ours is the code of stage dedupe with the parameters of
params.yaml.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.out import write_figures, write_section
from benchmarks.texts import narratives, recombined, sentences

ROOT = Path(__file__).resolve().parent.parent
THRESHOLD, WORDS, SEED = 0.8, 5, 7
REQUIRED_RATIO, REQUIRED_RECALL = 4.0, 0.99


def plain_shingles(text: str) -> set[str]:
    """Return the shingles of a text by their definition, independently of the code that is measured."""
    words: list[str] = []
    for word in re.sub(r"[\W_]+", " ", text.lower()).split():
        masked = len(word) > 1 and set(word) == {"x"}
        if not (masked and words and words[-1] == "XXXX"):
            words.append("XXXX" if masked else word)
    if not words:
        return set()
    return {" ".join(words[i : i + WORDS]) for i in range(max(len(words) - WORDS + 1, 1))}


def similarity(left: str, right: str) -> float:
    """Return the exact Jaccard similarity of two texts."""
    a, b = plain_shingles(left), plain_shingles(right)
    return len(a & b) / len(a | b) if a and b else 0.0


def make_texts(given: list[str], *, n_texts: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Return texts and the positions of planted pairs, the copy always after its original."""
    random = np.random.default_rng(SEED)
    n_originals = int(n_texts / 1.06)
    texts = recombined(given, n_texts=n_originals, random=random)
    first_words = [piece.split(" ")[0] for text in given for piece in sentences(text)]
    pairs = []
    while len(texts) < n_texts:
        source = int(random.integers(n_originals))
        words = texts[source].split(" ")
        n_shingles = max(len(words) - WORDS + 1, 1)
        # One changed word touches 5 shingles; s = (n - 5 k) / (n + 5 k) >= 0.8 gives k <= n / 45.
        for _ in range(int(random.integers(0, n_shingles // 45 + 1)) or 1):
            words[int(random.integers(len(words)))] = first_words[int(random.integers(len(first_words)))]
        copy = " ".join(words)
        if copy != texts[source] and similarity(texts[source], copy) >= THRESHOLD:
            pairs.append((source, len(texts)))
            texts.append(copy)
    order = np.concatenate([np.arange(n_originals), n_originals + random.permutation(len(pairs))])
    place = np.argsort(order)
    return [texts[at] for at in order], [(a, int(place[b])) for a, b in pairs]


def ours(texts: list[str]) -> list[tuple[int, int]]:
    """Return the texts that stage dedupe removes, each with the one it repeats."""
    from pipelines.runtime.project import Project
    from pipelines.stages.dedupe.duplicates import split_duplicates
    from pipelines.stages.dedupe.params import DedupeParams

    project = Project.open(ROOT)
    near, resources = project.section("dedupe", DedupeParams).near_duplicates, project.resources
    times = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(len(texts)), unit="s")
    records = pd.DataFrame({"id": [f"{n:07d}" for n in range(len(texts))], "text": texts, "received_at": times})
    dropped = split_duplicates(records, near=near, seed=resources.seed, threads=resources.threads).dropped
    return [(int(a), int(b)) for a, b in zip(dropped["id"], dropped["kept_id"], strict=True)]


def datasketch(texts: list[str]) -> list[tuple[int, int]]:
    """Return the removed texts, each with the one it repeats, as datasketch documents it: query, else insert."""
    from datasketch import MinHash, MinHashLSH

    index, removed = MinHashLSH(threshold=THRESHOLD, num_perm=128), []
    sketches = MinHash.generator(
        ([shingle.encode() for shingle in plain_shingles(text)] for text in texts), num_perm=128, seed=1
    )
    for position, sketch in enumerate(sketches):
        found = index.query(sketch)
        if found:
            removed.append((position, min(found)))
        else:
            index.insert(position, sketch)
    return removed


def assess(texts: list[str], *, pairs: list[tuple[int, int]], removed: list[tuple[int, int]]) -> dict[str, float]:
    """Return the recall of the planted pairs, and the number of removals that an exact comparison does not confirm."""
    gone = {a for a, _ in removed}
    unverified = sum(similarity(texts[a], texts[b]) < THRESHOLD or b in gone for a, b in removed)
    return {
        "recall": sum(a in gone or b in gone for a, b in pairs) / len(pairs),
        "removed": len(removed),
        "unverified": unverified,
    }


def table(result: dict[str, Any]) -> str:
    """Return the section of benchmarks/README.md; ratios hold on other machines, seconds do not."""
    rows = [
        f"| {label} | {result['methods'][name]['seconds']:.2f} | {result['methods'][name]['recall']:.4f} "
        f"| {result['methods'][name]['removed']} / {result['methods'][name]['unverified']} |"
        for name, label in (("ours", "stage dedupe"), ("datasketch", "datasketch MinHashLSH, 128 permutations"))
    ]
    head = f"""## Dedupe: {result["ratio"]:.1f} times as fast as datasketch

`python -m benchmarks.dedupe`: {result["texts"]:,} texts ({result["megabytes"]:.0f} MB) recombined from {result["of"]},
{result["pairs"]:,} planted pairs of exact Jaccard similarity >= 0.8; medians of {result["rounds"]} rounds in turns.
A removal is unverified when the two texts' exact similarity is below 0.8, or the text it repeats was removed too.
Loading the compiled kernels ({result["load_seconds"]:.1f} s here, more when they must be compiled) is not counted.

| method | s | recall | removed / unverified |
|---|---|---|---|
"""
    return head + "\n".join(rows)


def main() -> int:
    """Run both in turns, write figures and table, and return 1 when a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    given, what = narratives()
    texts, pairs = make_texts(given, n_texts=options.texts)
    print(f"{len(texts)} texts made of {what}, {sum(map(len, texts)) / 1e6:.0f} MB, {len(pairs)} planted pairs")
    methods = {"ours": ours, "datasketch": datasketch}
    began = time.perf_counter()
    ours(texts[:50])
    load_seconds = time.perf_counter() - began
    print(f"loading the compiled kernels: {load_seconds:.2f} s (not counted below)")
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    removed: dict[str, list[tuple[int, int]]] = {}
    for _ in range(options.rounds):
        for name, method in methods.items():
            began = time.perf_counter()
            removed[name] = method(texts)
            seconds[name].append(time.perf_counter() - began)
            print(f"  {name}: {seconds[name][-1]:.2f} s")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    result: dict[str, Any] = {
        "texts": len(texts),
        "of": what,
        "pairs": len(pairs),
        "megabytes": sum(map(len, texts)) / 1e6,
        "rounds": options.rounds,
        "load_seconds": load_seconds,
        "ratio": medians["datasketch"] / medians["ours"],
        "methods": {
            name: {"seconds": medians[name], **assess(texts, pairs=pairs, removed=removed[name])} for name in methods
        },
    }
    for name, figures in result["methods"].items():
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
    print(f"ratio: {result['ratio']:.1f} times as fast as datasketch")
    write_section("dedupe", table(result))
    write_figures("dedupe", result)
    found = result["methods"]["ours"]
    good = result["ratio"] >= REQUIRED_RATIO and found["recall"] >= REQUIRED_RECALL and found["unverified"] == 0
    print("passed" if good else f"FAILED: {REQUIRED_RATIO:g} times, recall {REQUIRED_RECALL:g}, no unverified removal")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
