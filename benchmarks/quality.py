"""Macro-F1 of what a user would pick instead (TF-IDF + logistic regression), the baseline, and the fine-tuned model.

`python -m benchmarks.quality`: real complaint narratives, seven larger products, gold labels (the only place where gold
is trained on), each text once, one random split per seed. A tenth of the training rows is held out as gold validation,
with which our models choose, stop and calibrate, so they fit on fewer rows than scikit-learn, whose last fit gets all
of them. No test row is used before the last prediction. About 25 CPU minutes; finished parts are stored in
benchmarks/out/quality.json and below PERENNIAL_HOME (the encoder's vectors), so that a stopped call continues.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.out import write_section
from benchmarks.parameters import MODELS, parameters
from benchmarks.texts import NARRATIVES, real_file
from pipelines.runtime.runner import fix_process

ROOT = Path(__file__).resolve().parent.parent
TEST_ROWS = {3000: 2000, 7000: 2500}
N_PRODUCTS = 7
STRENGTHS = (1.0, 3.0, 10.0)  # C of logistic regression that the tuned reference chooses from
REFERENCE = "TF-IDF + LR, balanced (C = 1)"
TUNED = "TF-IDF + LR, balanced, C chosen on validation, then fitted on all rows"
BASELINE, FINETUNED = "Perennial: baseline", "Perennial: fine-tuned alone"
CHOSEN = "**Perennial: the candidate that is chosen**"
ORDER = ("TF-IDF + LR (C = 1)", REFERENCE, TUNED, "Frozen MiniLM + LR, balanced", BASELINE, FINETUNED,
         "Average of both", CHOSEN)  # fmt: skip
Answers = Iterator[tuple[str, Any, str]]  # method, label of each test row, a note


def narratives() -> pd.DataFrame:
    """Return the seven larger products, each text once."""
    file = real_file(NARRATIVES)
    if file is None:
        raise SystemExit("skipped: quality is measured on real narratives with their products")
    frame = pd.read_csv(file, keep_default_na=False).rename(columns={"narrative": "text", "product": "gold"})[
        ["text", "gold"]
    ]
    larger = frame["gold"].value_counts().index[:N_PRODUCTS]
    frame = frame[frame["gold"].isin(larger) & frame["text"].notna()].drop_duplicates("text").reset_index(drop=True)
    return frame.assign(id=frame.index.astype(str))


class KnownVectors:
    """Encoder stand-in: the vector of each narrative, computed once by the real encoder."""

    def __init__(self, texts: Sequence[str], *, spec: Any) -> None:
        from pipelines.models.encoder import Encoder
        from pipelines.runtime.project import Project

        key = hashlib.sha256("\0".join([spec.model_dump_json(), *texts]).encode()).hexdigest()[:16]
        file = Project.open(ROOT).state / "benchmarks" / f"vectors-{key}.npy"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, Encoder.load(spec, models_folder=MODELS).embed(texts, progress="embedding all narratives"))
        self.vectors = np.load(file)
        self.row_of = {text: row for row, text in enumerate(texts)}

    def embed(self, texts: Sequence[str], *, progress: str = "") -> np.ndarray:
        """Return the vectors (n, width) of the texts, in order."""
        return self.vectors[[self.row_of[text] for text in texts]]


def reference(train: pd.DataFrame, test: pd.DataFrame, *, balanced: bool, strength: float = 1.0) -> np.ndarray:
    """Return the answers of scikit-learn's TF-IDF on one and two words with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=3, max_features=50_000)
    weight = "balanced" if balanced else None
    model = make_pipeline(words, LogisticRegression(C=strength, max_iter=300, class_weight=weight))
    return model.fit(train["text"], train["gold"]).predict(test["text"])


def macro(truth: Any, answers: Any) -> float:
    """Return scikit-learn's macro-F1."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, answers, average="macro"))


def words_alone(train: pd.DataFrame, test: pd.DataFrame, **_: Any) -> Answers:
    """Yield what a user would pick instead, without and with balanced class weights."""
    yield "TF-IDF + LR (C = 1)", reference(train, test, balanced=False), ""
    yield REFERENCE, reference(train, test, balanced=True), ""


def extras(train: pd.DataFrame, test: pd.DataFrame, *, known: KnownVectors, **_: Any) -> Answers:
    """Yield stronger alternatives: C chosen on held-out training rows, and the frozen encoder."""
    from sklearn.linear_model import LogisticRegression

    held, rest = train.iloc[: len(train) // 10], train.iloc[len(train) // 10 :]
    tried = {c: macro(held["gold"], reference(rest, held, balanced=True, strength=c)) for c in STRENGTHS}
    best = max(tried, key=lambda c: tried[c])
    yield TUNED, reference(train, test, balanced=True, strength=best), f"C = {best:g}"
    head = LogisticRegression(C=10.0, max_iter=300, class_weight="balanced")
    frozen = head.fit(known.embed(list(train["text"])), train["gold"]).predict(known.embed(list(test["text"])))
    yield "Frozen MiniLM + LR, balanced", frozen, ""


def split_for(train: pd.DataFrame, *, labels: tuple[str, ...]) -> Any:
    """Return the rows as the training stages use them, with gold in the place of weak labels."""
    from pipelines.training.training_set import training_set

    return training_set(
        train.assign(part=np.where(np.arange(len(train)) < len(train) // 10, "validation", "train")),
        labeled=train[["id"]].assign(training_label=train["gold"], label_source="gold"),
        weights=train[["id"]].assign(weight=1.0),
        labels=labels,
        soft=False,
        balanced=True,
    )


def baseline_answers(train: pd.DataFrame, test: pd.DataFrame, **rest: Any) -> Answers:
    """Yield the answers of the baseline, by the stage's own functions."""
    found = baseline_probabilities(train, test, **rest)
    yield BASELINE, np.array(rest["labels"])[found["test"].argmax(1)], str(found["note"])


def baseline_probabilities(
    train: pd.DataFrame, test: pd.DataFrame, *, labels: tuple[str, ...], seed: int, known: KnownVectors
) -> dict[str, Any]:
    """Return the baseline's probabilities for test and validation rows; they are stored below PERENNIAL_HOME."""
    from pipelines.models.base_model import find_base_model
    from pipelines.models.linear import unit_length
    from pipelines.models.manifest import Manifest, texts_of
    from pipelines.models.scorers import BaselineScorer
    from pipelines.runtime.project import Project
    from pipelines.stages.baseline import candidate as baseline
    from pipelines.stages.baseline.params import BaselineParams
    from pipelines.stats.temperature import apply_temperature

    params, data = parameters("baseline", BaselineParams), split_for(train, labels=labels)
    key = [params.model_dump_json(), seed, *train["id"], "", *test["id"]]
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).hexdigest()[:16]
    project = Project.open(ROOT)
    file = project.state / "benchmarks" / f"baseline-{digest}.npz"
    if not file.exists():
        with TemporaryDirectory() as scratch:
            folder = Path(scratch)
            metrics = baseline.train(data, folder=folder, labels=labels, features=(), params=params, encoder=known,
                                     threads=project.resources.threads, seed=seed)  # fmt: skip
            manifest = Manifest.read(folder)
            scorer = BaselineScorer(
                manifest, folder=folder, base=find_base_model(params.base_model, models_folder=MODELS), device="cpu"
            )

            def probabilities(rows: pd.DataFrame) -> np.ndarray:
                texts = texts_of(rows)
                scores = scorer.logits_from(texts, unit_length(known.embed(texts)), rows)
                return apply_temperature(scores, temperature=manifest.temperature)

            note = f"{metrics['rounds']} rounds"
            np.savez(file, test=probabilities(test), validation=probabilities(data.validation), note=note)
    return dict(np.load(file))


def finetuned_answers(train: pd.DataFrame, test: pd.DataFrame, **rest: Any) -> Answers:
    """Yield the answers of the fine-tuned model, of the average of both, and of the candidate that evaluate would
    choose.
    """
    from pipelines.models.base_model import find_base_model
    from pipelines.models.predictor import Predictor
    from pipelines.stages.finetune.candidate import Job
    from pipelines.stages.finetune.candidate import train as finetune
    from pipelines.stages.finetune.checkpoint import code_digest
    from pipelines.stages.finetune.params import FinetuneParams
    from pipelines.training.tracking import NoTracking

    labels, data = rest["labels"], split_for(train, labels=rest["labels"])
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        params = parameters("finetune", FinetuneParams)
        base = find_base_model(params.base_model, models_folder=MODELS)
        job = Job(data, labels=labels, params=params, base=base, seed=rest["seed"], code=code_digest(),
                  checkpoints=folder / "checkpoints")  # fmt: skip
        (folder / "model").mkdir()
        metrics, _ = finetune(job, folder=folder / "model", tracker=NoTracking())
        predictor = Predictor.load(folder / "model", models_folder=MODELS)
        ours = predictor.predict_proba(test)
        seen = predictor.predict_proba(data.validation)
    names, other = np.array(labels), baseline_probabilities(train, test, **rest)
    yield FINETUNED, names[ours.argmax(1)], f"best of {metrics['steps']} steps: {metrics['best_step']}"
    yield "Average of both", names[(ours + other["test"]).argmax(1)], ""
    wins = finetuned_is_chosen(data, baseline=other["validation"], finetuned=seen, labels=labels)
    yield CHOSEN, names[(ours if wins else other["test"]).argmax(1)], "fine-tuned" if wins else "baseline"


def finetuned_is_chosen(data: Any, *, baseline: np.ndarray, finetuned: np.ndarray, labels: tuple[str, ...]) -> bool:
    """Return whether evaluate's rule would choose the fine-tuned model, from gold validation rows, not test rows."""
    from pipelines.models.candidates import FINETUNE
    from pipelines.runtime.project import Project
    from pipelines.stages.evaluate.choice import choose
    from pipelines.stages.evaluate.params import EvaluateParams
    from pipelines.stages.evaluate.scores import Answers as Predicted
    from pipelines.stats.comparison import Resampling

    params = Project.open(ROOT).section("evaluate", EvaluateParams)
    resampling = Resampling.of(np.arange(len(data.gold)), resamples=params.resamples, seed=0)
    first, second = (Predicted(labels=labels, gold=data.gold, probabilities=each) for each in (baseline, finetuned))
    found = choose(first, second, resampling=resampling, confidence=params.confidence, margin=params.margin)
    return found.candidate == FINETUNE


def report(rows: list[dict[str, Any]]) -> str:
    """Return the section of benchmarks/README.md."""
    frame = pd.DataFrame(rows)
    sizes = sorted(frame["size"].unique())
    heads = [f"{size:,} rows ({frame[frame['size'] == size]['test'].iloc[0]:,} test)" for size in sizes]
    lines = [
        "## Quality: the chosen candidate against TF-IDF + logistic regression (`python -m benchmarks.quality`)",
        "",
        "Real narratives, seven larger products, gold labels, each text once; macro-F1, mean over seeds, the seeds in",
        "brackets. Our models fit on nine tenths of the rows: the last tenth is their gold validation.",
        "",
        f"| method | {' | '.join(heads)} | notes |",
        f"|---|{'---|' * len(sizes)}---|",
    ]
    for method in [name for name in ORDER if name in set(frame["method"])]:
        cells = []
        for size in sizes:
            some = frame[(frame["method"] == method) & (frame["size"] == size)].sort_values("seed")
            each = ", ".join(f"{row.seed}: {row.macro_f1:.3f}" for row in some.itertuples())
            cells.append(f"{some['macro_f1'].mean():.4f} ({each})" if len(some) else "-")
        notes = "; ".join(note for note in frame[frame["method"] == method]["note"].drop_duplicates() if note)
        lines.append(f"| {method} | {' | '.join(cells)} | {notes} |")
    return "\n".join(lines)


def main() -> None:
    """Run every method on every split, and write the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    arguments.add_argument(
        "--finetune-seeds", type=int, nargs="*", help="seeds to fine-tune for; the slow part", default=[3]
    )
    arguments.add_argument("--sizes", type=int, nargs="+", default=[3000, 7000])
    arguments.add_argument("--again", action="store_true", help="measure again what an earlier call measured")
    arguments.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "out" / "quality.json")
    options = arguments.parse_args()

    from pipelines.stages.baseline.params import BaselineParams

    data = narratives()
    labels = tuple(sorted(data["gold"].unique()))
    known = KnownVectors(list(data["text"]), spec=parameters("baseline", BaselineParams).base_model)
    rows: list[dict[str, Any]] = (
        json.loads(options.out.read_text()) if options.out.exists() and not options.again else []
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    parts = [
        (words_alone, REFERENCE),
        (baseline_answers, BASELINE),
        (finetuned_answers, CHOSEN),
        (extras, "Frozen MiniLM + LR, balanced"),
    ]
    for work, last in parts:  # first what the claim is based on
        for seed, size in product(
            options.finetune_seeds if work is finetuned_answers else options.seeds, options.sizes
        ):
            if any((row["size"], row["seed"], row["method"]) == (size, seed, last) for row in rows):
                continue  # measured by an earlier call
            order = np.random.default_rng(seed).permutation(len(data))
            train = data.iloc[order[:size]].reset_index(drop=True)
            test = data.iloc[order[size : size + TEST_ROWS.get(size, 2000)]].reset_index(drop=True)
            began = time.process_time()
            for method, answers, note in work(train, test, labels=labels, seed=seed, known=known):
                score, spent = macro(test["gold"], answers), time.process_time() - began
                rows[:] = [row for row in rows if (row["size"], row["seed"], row["method"]) != (size, seed, method)]
                rows.append({"size": size, "seed": seed, "method": method, "macro_f1": score, "note": note,
                             "accuracy": float((answers == test["gold"].to_numpy()).mean()), "test": len(test),
                             "cpu_seconds": round(spent, 1)})  # fmt: skip
                print(f"{size} rows, seed {seed}: {method}: {score:.4f} {note}, {spent:.0f} CPU s", flush=True)
                began = time.process_time()
            options.out.write_text(json.dumps(rows, indent=1) + "\n")
            write_section("quality", report(rows))


if __name__ == "__main__":
    fix_process(threads=2)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    import torch

    torch.set_num_threads(2)
    main()
