"""The label gate: coverage, kappa, and every class, each with its sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.gates.verdict import Check
from pipelines.records.labeling import ABSTAIN
from pipelines.stages.label.quality import Kappa
from pipelines.stats.fairness import Count, rate


def coverage_check(codes: np.ndarray, *, at_least: float, min_rows: int, confidence: float) -> Check:
    """Check the share of all rows that have a label (lower bound)."""
    labeled = Count(int((codes != ABSTAIN).sum()), len(codes))
    estimate = rate(labeled, confidence=confidence)
    sentence = (
        f"{labeled.hits} of {labeled.rows} rows have a label"
        if len(codes)
        else "there are no rows, so coverage is undefined"
    )
    return Check.at_least(
        "coverage",
        estimate.value,
        limit=at_least,
        interval=estimate.interval,
        rows=len(codes),
        min_rows=min_rows,
        required=True,
        sentence=sentence,
    )


def kappa_check(kappa: Kappa, *, n_gold: int, at_least: float, min_rows: int, parts: Sequence[str]) -> Check:
    """Check Cohen's kappa between labels and gold (lower bound), on gold rows that have a label."""
    where = " and ".join(parts)
    if n_gold == 0:
        sentence = f"no row of {where} has a gold label yet, so the quality of the labels is unknown"
    elif kappa.rows == 0:
        sentence = f"none of the {n_gold} gold rows of {where} has a label, so kappa is undefined"
    elif not np.isfinite(kappa.value):
        sentence = f"labels and gold of {kappa.rows} rows are all of one class, so kappa is undefined"
    elif kappa.rows < min_rows:
        sentence = (
            f"only {kappa.rows} gold rows of {where} have a label: too few to tell whether labels agree with gold"
        )
    else:
        sentence = f"labels and gold agree on {kappa.agreement:.1%} of {kappa.rows} gold rows of {where}"
    return Check.at_least(
        "kappa",
        kappa.value,
        limit=at_least,
        interval=kappa.interval,
        rows=kappa.rows,
        min_rows=min_rows,
        required=True,
        sentence=sentence,
        details={"agreement": kappa.agreement if kappa.rows else None, "gold_rows": n_gold, "parts": list(parts)},
    )


def class_coverage_checks(
    codes: np.ndarray, gold: np.ndarray, *, labels: Sequence[str], at_least: float, min_rows: int, confidence: float
) -> list[Check]:
    """Check for each gold class the share of its rows that have a label; undecided with few gold rows."""
    checks = []
    for place, label in enumerate(labels):
        own = gold == place
        labeled = Count(int((codes[own] != ABSTAIN).sum()), int(own.sum()))
        estimate = rate(labeled, confidence=confidence)
        if labeled.rows == 0:
            sentence = f"no gold row is {label}"
        elif labeled.rows < min_rows:
            sentence = f"{labeled.hits} of {labeled.rows} gold rows of {label} have a label: too few rows to tell"
        else:
            sentence = f"{labeled.hits} of {labeled.rows} gold rows of {label} have a label"
        checks.append(
            Check.at_least(
                f"class_coverage:{label}",
                estimate.value,
                limit=at_least,
                interval=estimate.interval,
                rows=int(labeled.rows),
                min_rows=min_rows,
                required=False,
                undecided_passes_from=min_rows,
                sentence=sentence,
            )
        )
    return checks


def class_rows_checks(counts: Mapping[str, int], *, rows: int, at_least: int) -> list[Check]:
    """Check for each class the number of its training rows: a model cannot learn a class without rows."""
    checks = []
    for label, given in counts.items():
        checks.append(
            Check.at_least(
                f"train_rows:{label}",
                given,
                limit=at_least,
                rows=rows,
                min_rows=1,
                required=True,
                sentence=f"{given} training rows are labeled {label}",
            )
        )
    return checks
