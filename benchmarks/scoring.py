"""Scoring against transformers' pipeline(): the same fine-tuned model, the same texts, one thread each.

    python -m benchmarks.scoring MODEL_FOLDER [--texts 300] [--rounds 3]

MODEL_FOLDER is a fine-tuned model (data/finetune/model). Texts are the real narratives ($PERENNIAL_REAL_DATA) where
they are, else simulated. Rounds alternate; medians. CPU seconds of the process are compared, which other work on the
machine hardly moves; each way runs on one thread, so without other work they are the seconds that pass.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAYON_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pandas as pd

from benchmarks.out import write_section
from pipelines.core.base_model import find_base_model
from pipelines.core.domain import load_domain
from pipelines.core.params import section
from pipelines.core.predictor import Predictor
from pipelines.score.export import compiled, convert

ROOT = Path(__file__).resolve().parent.parent
REQUIRED_RATIO, REQUIRED_AGREEMENT = 3.5, 0.995


def read_texts(n: int) -> tuple[list[str], str]:
    """Texts and what they are."""
    file = Path(os.environ.get("PERENNIAL_REAL_DATA", ROOT.parent / "shared" / "data")) / "cfpb" / "narratives.csv.gz"
    if file.exists():
        with gzip.open(file, "rt", encoding="utf-8", newline="") as stream:
            found = [row["narrative"] for row in csv.DictReader(stream)]
        return [found[int(at)] for at in np.random.default_rng(5).permutation(len(found))[:n]], "real narratives"
    frames = list(load_domain().simulate(start=date(2026, 1, 5), end=date(2026, 4, 6), seed=5, **section("simulator")))
    return pd.concat(frames)["narrative"].dropna().head(n).tolist(), "simulated narratives (no real data here)"


def huggingface(predictor: Predictor) -> Callable[[list[str]], np.ndarray]:
    """What a user writes: pipeline("text-classification") on the merged model, in batches, in float32."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, pipeline

    scorer: Any = predictor._scorer
    base = find_base_model(predictor.manifest.encoder)
    config = BertConfig.from_pretrained(base, num_labels=len(predictor.labels))
    model = BertForSequenceClassification(config).eval()  # its head is another one of the same cost
    model.bert.load_state_dict(scorer.network.state_dict(), strict=False)
    tokenizer = AutoTokenizer.from_pretrained(base)
    run = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    most = predictor.manifest.encoder.max_tokens
    return lambda texts: run(texts, batch_size=32, truncation=True, max_length=most)


def main() -> None:
    """Measure, compare, write the table; exit code 1 where the promise does not hold."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    texts, what = read_texts(given.texts)
    exact = Predictor.load(given.model, precision="float32")
    features = {column.name: None for column in exact.manifest.features}
    records = pd.DataFrame({"id": [str(n) for n in range(len(texts))], "text": texts, **features})
    reduced, exported = Predictor.load(given.model), Predictor.load(given.model, precision="float32")
    with tempfile.TemporaryDirectory() as folder:
        convert(Predictor.load(given.model, precision="float32"), Path(folder))
        exported.exchange_encoder(compiled(Path(folder), threads=1))
    theirs = huggingface(exact)
    ways: dict[str, Callable[[], Any]] = {
        "transformers pipeline(), batches of 32": lambda: theirs(texts),
        "Predictor, float32": lambda: exact.predict_proba(records),
        "Predictor as released (bfloat16)": lambda: reduced.predict_proba(records),
        "Predictor, exported (OpenVINO bfloat16)": lambda: exported.predict_proba(records),
    }
    truth = exact.predict_proba(records).argmax(axis=1)
    laps: dict[str, list[float]] = {name: [] for name in ways}
    agreement: dict[str, float] = {}
    for turn in range(given.rounds + 1):
        for name, way in ways.items():
            began = time.process_time()
            answer = way()
            if turn:  # the first round warms up
                laps[name].append(time.process_time() - began)
            if isinstance(answer, np.ndarray):
                agreement[name] = float((answer.argmax(axis=1) == truth).mean())
    first = statistics.median(next(iter(laps.values())))
    lines = ["| way | texts per CPU second | times pipeline() | label as in float32 |", "|---|---|---|---|"]
    for name, seconds in laps.items():
        median = statistics.median(seconds)
        said = f"{agreement[name]:.4f}" if name in agreement else "-"
        lines.append(f"| {name} | {len(texts) / median:.1f} | {first / median:.2f} | {said} |")
    best = first / statistics.median(laps["Predictor, exported (OpenVINO bfloat16)"])
    agreed = agreement["Predictor, exported (OpenVINO bfloat16)"]
    kept = best >= REQUIRED_RATIO and agreed >= REQUIRED_AGREEMENT
    text = (
        "### Scoring (`python -m benchmarks.scoring data/finetune/model`)\n\n"
        f"{len(texts)} {what}, one thread, medians of {given.rounds} alternating rounds; wanted: "
        f"{REQUIRED_RATIO:g} times pipeline() at agreement {REQUIRED_AGREEMENT:g}: "
        f"{'reached' if kept else '**not reached here**'}.\n\n" + "\n".join(lines)
    )
    sys.stdout.write(text + "\n")
    write_section("scoring", text)
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
