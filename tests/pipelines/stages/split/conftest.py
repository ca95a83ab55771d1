"""A small stream of records with gold that arrives late, entities, and a feature of each kind."""

import numpy as np
import pandas as pd
import pytest

from pipelines.records.records import as_canonical
from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute
from pipelines.stages.split.params import AnchorParams, LeakParams, PartRows, SplitParams
from pipelines.text.shingles import NearDuplicateParams

DELAY = 20
SCHEMA = DomainSchema(
    name="parcels",
    labels=("lost", "late", "broken"),
    features=(Feature("office", kind="category"), Feature("kilos", kind="number")),
    protected=(ProtectedAttribute("elder", member="elders", rest="others"),),
    no_protected_because=None,
    favorable_labels=(),
    strata=(),
    gold_delay_days=DELAY,
    required_columns=(),
    requires_text=True,
)
PARAMS = SplitParams(
    recent_share=0.15,
    validation_share=0.1,
    embargo_days=0,
    complete_gold_share=0.9,
    anchor=AnchorParams(oldest_share=0.5, drawn_share=0.3),
    near_duplicates=NearDuplicateParams(threshold=0.8, words=3, bands=32, rows=4, max_comparisons=1000),
    leak=LeakParams(max_accuracy=0.9, max_skill=0.5, folds=5, rows_per_bin=20, min_rows=100),
    min_part_rows=PartRows(train=100, validation=20, recent=20, anchor=20),
    min_class_rows=5,
)


def stream(*, n_days: int = 200, per_day: int = 5, seed: int = 0, delay: int = DELAY) -> pd.DataFrame:
    """Canonical records of a steady stream; every text differs from every other."""
    random = np.random.default_rng(seed)
    n = n_days * per_day
    start = pd.Timestamp("2025-01-01", tz="UTC")
    received = start + pd.to_timedelta(np.arange(n) * (24 * 60 // per_day), unit="min")
    gold_at = received + pd.Timedelta(days=delay)
    known = gold_at < start + pd.Timedelta(days=n_days)
    gold = random.choice(SCHEMA.labels, n, p=[0.5, 0.3, 0.2])
    records = pd.DataFrame(
        {
            "id": [f"r{at:05d}" for at in range(n)],
            "text": [" ".join(f"w{word}" for word in random.integers(0, 5000, 12)) for _ in range(n)],
            "received_at": received,
            "entity": [None if at % 3 else f"writer{at}" for at in range(n)],
            "gold": np.where(known, gold, None),
            "gold_at": pd.Series(gold_at).where(known),
            "office": random.choice(list("abcdef"), n),
            "kilos": random.normal(2, 1, n),
            "elder": random.integers(0, 2, n),
        }
    )
    return as_canonical(records, schema=SCHEMA)


def no_copies() -> pd.DataFrame:
    """What dedupe dropped: nothing."""
    return pd.DataFrame({"id": pd.array([], dtype="string"), "kept_id": pd.array([], dtype="string")})


@pytest.fixture
def records() -> pd.DataFrame:
    return stream()


@pytest.fixture
def schema() -> DomainSchema:
    return SCHEMA


@pytest.fixture
def params() -> SplitParams:
    return PARAMS


@pytest.fixture
def make_stream():
    return stream


@pytest.fixture
def split(schema, params):
    """Run the whole split on records."""
    from pipelines.stages.split.cut import split_records

    def run(frame, *, copies=None, anchor=None, params=params):
        copies = no_copies() if copies is None else copies
        return split_records(frame, copies=copies, anchor=anchor, schema=schema, params=params, seed=1, threads=1)

    return run


@pytest.fixture
def verdict(schema, params):
    """Return the verdict on what split wrote."""
    from pipelines.stages.split.cut import check_split

    def run(parted, *, params=params, schema=schema):
        return check_split(parted, schema=schema, params=params, seed=1, threads=1)

    return run
