"""The gate of an exported model: one that answers alike passes; a wrong, noisy or rounded one is refused."""

import numpy as np
import pandas as pd
import pytest

from pipelines.live.score.params import ScoreParams
from pipelines.live.score.parity import parity_verdict
from pipelines.records.domain import Domain
from pipelines.runtime.project import Project


@pytest.fixture(scope="module")
def schema(repository):
    return Domain(repository / "pipelines" / "domains" / "complaints").schema


@pytest.fixture(scope="module")
def params(repository):
    return Project.open(repository, environment={}).section("score", ScoreParams).parity


def rows(schema, n=1200, seed=3):
    """Records with gold, and logits that are right for most of them."""
    random = np.random.default_rng(seed)
    gold = random.integers(0, len(schema.labels), n)
    logits = random.normal(0, 1, (n, len(schema.labels)))
    logits[np.arange(n), gold] += 3.0
    frame = pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(n)],
            "text": ["words " * int(length) for length in random.integers(1, 60, n)],
            "received_at": pd.date_range("2026-01-01", periods=n, freq="h", tz="UTC"),
            "gold": pd.Series([schema.labels[code] for code in gold], dtype="string"),
            **{
                feature.name: pd.Series([None] * n, dtype="string" if feature.kind == "category" else "float64")
                for feature in schema.features
            },
            **{item.name: pd.Series(random.integers(0, 2, n), dtype="Int8") for item in schema.protected},
        }
    )
    return frame, logits


def int8(logits):
    """A dynamic range of 16 steps, as a badly scaled quantization leaves it."""
    step = (logits.max() - logits.min()) / 16
    return np.round(logits / step) * step


def spoiled_class(logits):
    """Right everywhere but in one class, which is small enough not to show in the whole."""
    out = logits.copy()
    hit = np.flatnonzero(logits.argmax(axis=1) == 2)[:4]
    out[hit, 2] -= 100.0
    return out


def test_an_export_that_answers_alike_passes(schema, params):
    records, logits = rows(schema)
    noisy = logits + np.random.default_rng(1).normal(0, 1e-4, logits.shape)
    verdict = parity_verdict(records, exact=logits, exported=noisy, schema=schema, params=params)
    assert verdict.passed


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (int8, "agreement"),
        (lambda logits: logits + np.random.default_rng(2).normal(0, 1.0, logits.shape), "agreement"),
        (lambda logits: logits[:, ::-1], "agreement"),
        (lambda logits: np.full_like(logits, np.nan), "agreement"),
        (spoiled_class, "worst_slice_loss"),
    ],
)
def test_a_wrong_export_is_refused(schema, params, wrong, check):
    records, logits = rows(schema)
    verdict = parity_verdict(records, exact=logits, exported=wrong(logits), schema=schema, params=params)
    assert not verdict.passed
    assert check in [closed.name for closed in verdict.closed_by]


def test_too_few_rows_decide_nothing(schema, params):
    records, logits = rows(schema, n=200)
    assert not parity_verdict(records, exact=logits, exported=logits, schema=schema, params=params).passed
