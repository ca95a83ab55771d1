"""Letters with a protected attribute, votes of labeling functions about them, and the bias gate on both."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.gates.verdict import Check, Verdict
from pipelines.records.majority import majority_vote
from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute
from pipelines.stages.bias_gate.causes import Votes
from pipelines.stages.bias_gate.gate import BiasMeasurement, LabeledRecords, measure_bias
from pipelines.stages.bias_gate.params import BiasGateParams

LABELS = ("refuse", "grant", "ask")
NAMES = ["finds_refuse", "finds_grant", "finds_ask", "finds_all"]


def letters_schema(**changes) -> DomainSchema:
    """Return the schema of the letters, with changes."""
    values = {
        "name": "letters",
        "labels": LABELS,
        "features": (Feature("region", kind="category"), Feature("size", kind="number")),
        "protected": (ProtectedAttribute("veteran", member="veterans", rest="civilians"),),
        "no_protected_because": None,
        "favorable_labels": (),
        "strata": (),
        "gold_delay_days": 0,
        "required_columns": (),
        "requires_text": False,
    }
    return DomainSchema(**{**values, **changes})


def bias_params(**changes) -> BiasGateParams:
    """Return parameters of the bias gate, with changes."""
    values = {
        "measured_parts": ["train", "validation"],
        "confidence": 0.95,
        "min_group_rows": 50,
        "min_class_rows": 20,
        "min_disparate_impact": 0.8,
        "max_equal_opportunity": 0.1,
        "max_equalized_odds": 0.2,
        "mitigation": "none",
        "max_weight": 5.0,
        "min_effective_sample": 0.5,
        "min_validation_rows": 50,
        "max_weighted_parity": 0.15,
    }
    return BiasGateParams.model_validate({**values, **changes})


def letters(
    n: int = 1500, *, share: float = 0.3, accuracy: float = 0.9, seed: int = 0
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return records, and votes that are equally good for veterans and civilians."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 3, n)
    records = pd.DataFrame(
        {
            "id": [f"r{i:05d}" for i in range(n)],
            "text": [f"<b>text</b> {i}" for i in range(n)],
            "gold": pd.array([LABELS[g] for g in gold], dtype="string"),
            "part": np.where(generator.random(n) < 0.7, "train", "validation"),
            "region": pd.array(generator.choice(["north", "south"], n), dtype="string"),
            "size": generator.random(n),
            "veteran": pd.array((generator.random(n) < share).astype(int), dtype="Int8"),
        }
    )
    matrix = np.full((n, 4), -1, dtype=np.int16)
    for label in range(3):
        matrix[:, label] = np.where((gold == label) & (generator.random(n) < accuracy), label, -1)
    matrix[:, 3] = np.where(generator.random(n) < 0.3, gold, -1)
    return records, matrix


def measured(
    records: pd.DataFrame, matrix: np.ndarray, *, of: DomainSchema | None = None, survived=None, **changes
) -> tuple[BiasMeasurement, Verdict]:
    """Return what the bias gate measures on records and votes, and its verdict."""
    codes = majority_vote(matrix, n_labels=3, ties="abstain")
    weak = pd.Series(pd.array([LABELS[c] if c >= 0 else None for c in codes], dtype="string"))
    outcomes = pd.Series(
        np.where(np.ones(len(records)) if survived is None else survived, "labeled", "duplicate: near")
    )
    chosen = letters_schema() if of is None else of
    data = LabeledRecords(
        records,
        weak,
        weak.where(records["part"] == "train"),
        Votes(matrix, names=NAMES, ties="abstain"),
        ingested=records[["id", *(item.name for item in chosen.protected)]],
        outcomes=outcomes,
    )
    bias = measure_bias(data, schema=chosen, params=bias_params(**changes))
    return bias, Verdict.of("bias_gate", bias.checks, shown_records=bias.shown)


def check_named(verdict: Verdict, name: str) -> Check:
    """Return one check of a verdict."""
    return next(item for item in verdict.checks if item.name == name)
