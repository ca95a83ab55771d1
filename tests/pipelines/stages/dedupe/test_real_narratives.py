"""On real complaint narratives: nothing near is left, nothing was removed wrongly, against a search of every pair."""

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from pipelines.runtime.params import Parameters
from pipelines.stages.dedupe.duplicates import split_duplicates
from pipelines.stages.dedupe.params import DedupeParams
from pipelines.text.shingles import fingerprint


@pytest.mark.realdata
@pytest.mark.slow
def test_real_narratives_against_every_pair(real_data, repository) -> None:
    near = Parameters.read(repository).load("dedupe", DedupeParams).near_duplicates
    texts = pd.read_csv(real_data / "cfpb" / "narratives.csv.gz")["narrative"]
    records = pd.DataFrame(
        {
            "id": [f"{at:05d}" for at in range(len(texts))],
            "text": texts,
            "received_at": pd.date_range("2020-01-01", periods=len(texts), freq="min", tz="UTC"),
        }
    )
    found = split_duplicates(records, near=near, seed=1, threads=1)
    assert 0.03 < len(found.dropped) / len(records) < 0.06

    prints = fingerprint(texts.tolist(), near=near, seed=1, threads=1)
    holders = defaultdict(list)
    for text in range(len(texts)):
        for shingle in np.unique(prints.shingles[prints.starts[text] : prints.starts[text + 1]]).tolist():
            holders[shingle].append(text)
    pairs = {(a, b) for held in holders.values() if 1 < len(held) < 200 for a in held for b in held if a < b}
    similar = [(a, b) for a, b in pairs if prints.similarity(a, b) >= near.threshold]
    gone = set(found.dropped["id"].astype(int))
    left = [(a, b) for a, b in similar if a not in gone and b not in gone]
    assert len(similar) > 400
    assert len(left) <= 0.01 * len(similar)
    for row in found.dropped.itertuples():
        assert prints.similarity(int(row.id), int(row.kept_id)) == row.similarity >= near.threshold
