"""A small domain, gold rows and made-up answers that the tests of evaluate share."""

import numpy as np
import pandas as pd

from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute
from pipelines.stages.evaluate.params import EvaluateParams, FairnessParams
from pipelines.stages.evaluate.predictions import answers_of
from pipelines.stats.slices import SliceParams

LABELS = ("refund", "delivery", "praise")
SCHEMA = DomainSchema(
    name="shop",
    labels=LABELS,
    features=(Feature("channel", kind="category"), Feature("amount", kind="number")),
    protected=(ProtectedAttribute("senior", member="seniors", rest="others"),),
    no_protected_because=None,
    favorable_labels=(),
    strata=(),
    gold_delay_days=7,
    required_columns=(),
    requires_text=True,
)
PARAMS = EvaluateParams(
    min_scores={"accuracy": 0.6, "macro_f1": 0.6},
    max_losses={"log_loss": 1.2},
    min_lift=0.1,
    min_rows=100,
    cluster_by=("text", "entity", "day"),
    resamples=200,
    confidence=0.95,
    margin=0.0,
    bins=15,
    null_simulations=50,
    slices=SliceParams(max_categories=5, length_bands=4, min_rows=20),
    max_slice_gap=0.3,
    fairness=FairnessParams(
        min_disparate_impact=0.8,
        max_equal_opportunity=0.1,
        max_equalized_odds=0.1,
        min_group_rows=50,
        min_class_rows=20,
    ),
)


def gold(n: int, *, seed: int = 0, days: int = 40) -> pd.DataFrame:
    """Gold rows spread evenly over the days."""
    draw = np.random.default_rng(seed)
    day = pd.Timestamp("2025-03-01", tz="UTC") + pd.to_timedelta(np.arange(n) % days, unit="D")
    return pd.DataFrame(
        {
            "id": pd.Series([f"r{i}" for i in range(n)], dtype="string"),
            "text": pd.Series([f"text {i} " + "more " * int(draw.integers(1, 40)) for i in range(n)], dtype="string"),
            "received_at": pd.Series(day).astype("datetime64[us, UTC]"),
            "entity": pd.Series([None] * n, dtype="string"),
            "gold": pd.Series(draw.choice(LABELS, n, p=[0.5, 0.3, 0.2]), dtype="string"),
            "channel": pd.Series(draw.choice(["web", "phone"], n), dtype="string"),
            "amount": draw.normal(10, 2, n),
            "senior": pd.Series((draw.random(n) < 0.4).astype(int), dtype="Int8"),
        }
    )


def model_probabilities(rows: pd.DataFrame, *, right: float | np.ndarray, seed: int = 1) -> np.ndarray:
    """Return probabilities (n, k) of a model that is right with this probability per row, about as confident as it
    should be.
    """
    draw = np.random.default_rng(seed)
    truth = np.array([LABELS.index(label) for label in rows["gold"]], dtype=np.int64)
    hit = draw.random(len(rows)) < right
    predicted = np.where(hit, truth, (truth + draw.integers(1, len(LABELS), len(rows))) % len(LABELS))
    sure = draw.uniform(0.6, 0.98, len(rows))
    out = np.repeat(((1 - sure) / (len(LABELS) - 1))[:, None], len(LABELS), axis=1)
    out[np.arange(len(rows)), predicted] = sure
    return out


def answers(rows: pd.DataFrame, **how):
    """Return the answers of such a model."""
    return answers_of(rows, model_probabilities(rows, **how), labels=LABELS, given=LABELS)
