"""Macro-F1 of what a user would pick instead (TF-IDF + logistic regression), the baseline, and the fine-tuned model.

Real complaint narratives, seven larger products, gold labels (the only place where gold is trained on), exact copies
left out, one random split a seed: `python -m benchmarks.quality --seeds 0 1 2 --sizes 3000 7000`. A tenth of the
training rows is held out as gold validation for early stopping and temperature, so our models fit on fewer rows than
the reference, which gets all of them. Results: benchmarks/out/quality.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from pipelines.core.stage import fix_process

ROOT = Path(__file__).resolve().parent.parent
TEST_ROWS = {3000: 2000, 7000: 2000}
N_PRODUCTS = 7


def narratives() -> pd.DataFrame:
    """The seven larger products, each text once."""
    folder = Path(os.environ.get("PERENNIAL_REAL_DATA", ROOT.parent / "shared" / "data"))
    file = folder / "cfpb" / "narratives.csv.gz"
    if not file.exists():
        raise SystemExit(f"skipped: there is no {file}; name a folder with PERENNIAL_REAL_DATA")
    frame = pd.read_csv(file).rename(columns={"narrative": "text", "product": "gold"})[["text", "gold"]]
    larger = frame["gold"].value_counts().index[:N_PRODUCTS]
    frame = frame[frame["gold"].isin(larger) & frame["text"].notna()].drop_duplicates("text").reset_index(drop=True)
    return frame.assign(id=frame.index.astype(str))


def reference(train: pd.DataFrame, test: pd.DataFrame, *, balanced: bool) -> np.ndarray:
    """scikit-learn's TF-IDF on one and two words with logistic regression, C = 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=3, max_features=50_000)
    model = make_pipeline(words, LogisticRegression(max_iter=300, class_weight="balanced" if balanced else None))
    return model.fit(train["text"], train["gold"]).predict(test["text"])


def main() -> None:
    """Run every method on every split and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--sizes", type=int, nargs="+", default=[3000, 7000])
    arguments.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "out" / "quality.json")
    asked = arguments.parse_args()

    from sklearn.metrics import f1_score

    data = narratives()
    labels = tuple(sorted(data["gold"].unique()))
    rows: list[dict[str, object]] = []
    for size in asked.sizes:
        for seed in asked.seeds:
            order = np.random.default_rng(seed).permutation(len(data))
            train = data.iloc[order[:size]].reset_index(drop=True)
            test = data.iloc[order[size : size + TEST_ROWS.get(size, 2000)]].reset_index(drop=True)
            for method, answers, seconds in methods(train, test, labels=labels, seed=seed):
                score = f1_score(test["gold"], answers, average="macro")
                right = float((answers == test["gold"].to_numpy()).mean())
                rows.append({"size": size, "seed": seed, "method": method, "macro_f1": score, "accuracy": right,
                             "seconds": seconds, "train": len(train), "test": len(test)})  # fmt: skip
                print(f"{size} rows, seed {seed}: {method:32s} macro-F1 {score:.4f}, {seconds:.0f} s", flush=True)
            asked.out.parent.mkdir(parents=True, exist_ok=True)
            asked.out.write_text(json.dumps(rows, indent=1) + "\n")
    table = pd.DataFrame(rows).pivot_table(index="method", columns="size", values="macro_f1", aggfunc=["mean", "min"])
    print(table.round(4).to_string())


def methods(train: pd.DataFrame, test: pd.DataFrame, *, labels: tuple[str, ...], seed: int):
    """Each method's name, its answers on the test rows, and its seconds."""
    from pipelines.baseline import candidate as baseline
    from pipelines.baseline.params import BaselineParams
    from pipelines.core.encoder import Encoder
    from pipelines.core.params import load_params, load_resources
    from pipelines.core.predictor import Predictor
    from pipelines.core.training import training_set
    from pipelines.finetune import candidate as finetune
    from pipelines.finetune.params import FinetuneParams

    for balanced in (False, True):
        began = time.monotonic()
        answers = reference(train, test, balanced=balanced)
        yield f"TF-IDF + LR{', balanced' if balanced else ''}", answers, time.monotonic() - began

    part = np.where(np.arange(len(train)) < len(train) // 10, "validation", "train")
    weak = train[["id"]].assign(weak_label=train["gold"])
    data = training_set(
        train.assign(part=part),
        weak=weak,
        weights=train[["id"]].assign(weight=1.0),
        labels=labels,
        soft=False,
        balanced=True,
    )
    threads = load_resources().threads
    probabilities = []
    with TemporaryDirectory() as scratch:
        for name in ("baseline", "finetune"):
            folder = Path(scratch) / name
            folder.mkdir()
            began = time.monotonic()
            if name == "baseline":
                params = load_params("baseline", BaselineParams)
                encoder = Encoder.load(params.base_model)
                baseline.train(data, folder=folder, labels=labels, features=(), params=params, encoder=encoder,
                               threads=threads, seed=seed)  # fmt: skip
            else:
                finetune.train(data, folder=folder, labels=labels, params=load_params("finetune", FinetuneParams),
                               seed=seed, code=f"benchmark {time.time()}", on_look=lambda *_: None)  # fmt: skip
            seconds = time.monotonic() - began
            probabilities.append(Predictor.load(folder).predict_proba(test))
            yield f"Perennial {name}", np.array(labels)[probabilities[-1].argmax(1)], seconds
    yield "average of both", np.array(labels)[(probabilities[0] + probabilities[1]).argmax(1)], 0.0


if __name__ == "__main__":
    fix_process(threads=2)
    import torch

    torch.set_num_threads(2)
    main()
