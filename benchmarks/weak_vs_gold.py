"""Cost of weak labels: macro-F1 of one model trained on weak labels and on gold labels, on the same rows.

`python -m benchmarks.weak_vs_gold [FOLDER]`, where FOLDER is a checkout with an open bias gate (default: this one,
after `dvc repro bias_gate` on the simulated stream, or after a run with examples/cfpb_complaints.yaml). The rows are
those of `train` with a weak label and a gold label. Both models are TF-IDF and logistic regression with the same
parameters, measured on gold rows of `recent`. The interval is a paired bootstrap over test rows. Results, by source,
are added to benchmarks/out/weak_vs_gold.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.out import write_section
from pipelines.runtime.runner import fix_process

ROOT = Path(__file__).resolve().parent.parent
RESAMPLES = 1000


def answers(train: pd.DataFrame, test: pd.DataFrame, *, target: str) -> np.ndarray:
    """Return the answers of the linear model on words, fitted to one of the two labels."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=3, max_features=30_000)
    model = make_pipeline(words, LogisticRegression(C=5.0, max_iter=300, class_weight="balanced"))
    return model.fit(train["text"], train[target]).predict(test["text"])


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the section of benchmarks/README.md."""
    lines = [
        "## Weak labels instead of gold labels (`python -m benchmarks.weak_vs_gold`)",
        "",
        "One model (TF-IDF and logistic regression), the same training rows, macro-F1 on gold rows of `recent`.",
        "",
        "| source | trained on gold | trained on weak labels |",
        "|---|---|---|",
        *(f"| {name} | {row['macro_f1_gold']:.3f} | {row['macro_f1_weak']:.3f} |" for name, row in results.items()),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure one checkout and add it to the results."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path, nargs="?", default=ROOT)
    arguments.add_argument("--name", help="name of the source in the results; default: the folder's name")
    arguments.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "out" / "weak_vs_gold.json")
    options = arguments.parse_args()
    name = options.name or options.folder.resolve().name
    from sklearn.metrics import f1_score

    rows = pd.read_parquet(options.folder / "data/split/records.parquet")
    weak = pd.read_parquet(options.folder / "data/label/records.parquet")[["id", "weak_label"]]
    rows = rows.merge(weak, on="id")
    train = rows[(rows["part"] == "train") & rows["gold"].notna() & rows["weak_label"].notna()]
    test = rows[(rows["part"] == "recent") & rows["gold"].notna()].reset_index(drop=True)
    truth = test["gold"].to_numpy()
    given = {target: answers(train, test, target=target) for target in ("gold", "weak_label")}

    def macro(target: str, at: np.ndarray) -> float:
        return float(f1_score(truth[at], given[target][at], average="macro", zero_division=0))

    random, everything = np.random.default_rng(0), np.arange(len(test))
    drawn = [random.integers(0, len(test), len(test)) for _ in range(RESAMPLES)]
    lost = [macro("gold", at) - macro("weak_label", at) for at in drawn]
    line = {
        "train_rows": len(train),
        "test_rows": len(test),
        "weak_labels_right": float((train["weak_label"] == train["gold"]).mean()),
        "macro_f1_gold": macro("gold", everything),
        "macro_f1_weak": macro("weak_label", everything),
        "lost": macro("gold", everything) - macro("weak_label", everything),
        "lost_interval": [float(bound) for bound in np.quantile(lost, [0.025, 0.975])],
    }
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(found | {name: line}, indent=1, sort_keys=True) + "\n")
    write_section("weak_vs_gold", table(found | {name: line}))
    print(name, json.dumps(line, indent=1))


if __name__ == "__main__":
    fix_process(threads=1)
    main()
