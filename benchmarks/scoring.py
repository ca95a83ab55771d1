"""Scoring against transformers' pipeline(): the same fine-tuned model, the same texts, one thread each.

    python -m benchmarks.scoring MODEL_FOLDER [--texts 400] [--rounds 3] [--real]

MODEL_FOLDER is a fine-tuned model (data/finetune/model). It scores texts of the simulated stream with another seed than
its training texts; with --real, real narratives (benchmarks/texts.py), which differ from its training texts.
pipeline() runs with three batch sizes, and its best one is the reference. Rounds alternate; medians. CPU seconds of the
process are compared; each method runs on one thread, so without other work they equal wall seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAYON_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd

from benchmarks.out import write_section
from benchmarks.parameters import MODELS
from benchmarks.texts import narratives, simulated
from pipelines.live.score.export import compiled, convert
from pipelines.live.score.exported import native_precision
from pipelines.models.base_model import find_base_model
from pipelines.models.predictor import Predictor

REQUIRED_RATIO, REQUIRED_AGREEMENT = 3.5, 0.995
THEIRS, BATCH_SIZES = "transformers pipeline()", (1, 8, 32)
SAMPLE = 700  # texts that int8 scales are fitted to; a released version uses its fixed test set
PLAIN, INT8 = "Predictor, exported", "Predictor, exported with --int8"


def read_texts(n: int, *, real: bool) -> tuple[list[str], list[str], str]:
    """Return texts to measure with, others to fit int8 scales to, and a description of them."""
    found, what = narratives() if real else (simulated(), "texts of the simulated stream")
    mixed = [found[int(at)] for at in np.random.default_rng(5).permutation(len(found))]
    return mixed[:n], mixed[n : n + SAMPLE], what


def depth_of(predictor: Predictor) -> int:
    """Return how many layers of the base model the predictor computes."""
    scorer: Any = predictor._scorer
    return int(scorer.network.config.num_hidden_layers)


def huggingface(predictor: Predictor) -> Callable[[list[str], int], Any]:
    """Return what a user would write: pipeline("text-classification") on the merged model, in float32, unsorted."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, pipeline

    scorer: Any = predictor._scorer
    base = find_base_model(predictor.manifest.encoder, models_folder=MODELS)
    config = BertConfig.from_pretrained(base, num_labels=len(predictor.labels))
    config.num_hidden_layers = depth_of(predictor)
    model = BertForSequenceClassification(config).eval()  # its head is another one with the same cost
    model.bert.load_state_dict(scorer.network.state_dict(), strict=False)
    tokenizer = AutoTokenizer.from_pretrained(base)
    run = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    most = predictor.manifest.encoder.max_tokens
    return lambda texts, size: run(texts, batch_size=size, truncation=True, max_length=most)


def export_of(model: Path, *, sample: pd.DataFrame | None) -> Predictor:
    """Return the model with its exported network; outside of this benchmark the parity gate would have to be open."""
    predictor = Predictor.load(model, precision="float32", models_folder=MODELS)
    with tempfile.TemporaryDirectory() as folder:
        convert(predictor, Path(folder), sample=sample)
        predictor.replace_encoders(compiled(Path(folder), threads=1, streams=1))
    return predictor


def main() -> None:
    """Measure, compare and write the table; exit code 1 when the promise does not hold."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--real", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    texts, others, what = read_texts(given.texts, real=given.real)
    exact = Predictor.load(given.model, precision="float32", models_folder=MODELS)
    features = {column.name: None for column in exact.manifest.features}
    records, sample = (
        pd.DataFrame({"id": [str(n) for n in range(len(some))], "text": some, **features}) for some in (texts, others)
    )
    reduced = Predictor.load(given.model, models_folder=MODELS)  # in bfloat16 only where this processor supports it
    exported = {name: export_of(given.model, sample=some) for name, some in ((PLAIN, None), (INT8, sample))}
    theirs = huggingface(exact)
    methods: dict[str, Callable[[], Any]] = {
        **{f"{THEIRS}, batches of {size}": partial(theirs, texts, size) for size in BATCH_SIZES},
        "Predictor, float32": lambda: exact.predict_proba(records),
        "Predictor as released": lambda: reduced.predict_proba(records),
        **{name: partial(predictor.predict_proba, records) for name, predictor in exported.items()},
    }
    laps: dict[str, list[float]] = {name: [] for name in methods}
    answers: dict[str, np.ndarray] = {}
    for turn in range(given.rounds + 1):
        for name, method in methods.items():
            began = time.process_time()
            answer = method()
            if turn:  # the first round warms up
                laps[name].append(time.process_time() - began)
            if isinstance(answer, np.ndarray):
                answers[name] = answer.argmax(axis=1)
    seconds = {name: statistics.median(found) for name, found in laps.items()}
    first = min(seconds[name] for name in seconds if name.startswith(THEIRS))  # its best batch size
    agreement = {name: float((labels == answers["Predictor, float32"]).mean()) for name, labels in answers.items()}
    lines = ["| method | texts per CPU second | times the best pipeline() | label as in float32 |", "|---|---|---|---|"]
    for name, median in seconds.items():
        equal = f"{agreement[name]:.4f}" if name in agreement else "-"
        lines.append(f"| {name} | {len(texts) / median:.1f} | {first / median:.2f} | {equal} |")
    kept = any(first / seconds[name] >= REQUIRED_RATIO and agreement[name] >= REQUIRED_AGREEMENT for name in exported)
    layers, option = depth_of(exact), " --real" if given.real else ""
    text = (
        f"## Scoring, {layers} layers (`python -m benchmarks.scoring data/finetune/model{option}`)\n\n"
        f"{len(texts)} {what}, OpenVINO in {native_precision()}, one thread, "
        f"CPU seconds, medians of {given.rounds} alternating rounds; goal: "
        f"{REQUIRED_RATIO:g} times pipeline() at agreement {REQUIRED_AGREEMENT:g}: "
        f"{'reached' if kept else '**not reached here**'}.\n\n" + "\n".join(lines)
    )
    sys.stdout.write(text + "\n")
    write_section(f"scoring_{layers}_layers{'_real' if given.real else ''}", text)
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
