"""Dedupe: what is kept, what is dropped and why, whatever the order of the rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.stages.dedupe.duplicates import Deduplicated, split_duplicates
from pipelines.text.shingles import NearDuplicateParams, fingerprint

NEAR = NearDuplicateParams(threshold=0.6, words=2, bands=64, rows=2, max_comparisons=1000)


def make_records(rows: list[tuple[str, int]]) -> pd.DataFrame:
    """Records of (text, day)."""
    return pd.DataFrame(
        {
            "id": pd.array([f"r{n:04d}" for n in range(len(rows))], dtype="string"),
            "text": pd.array([text for text, _ in rows], dtype="string"),
            "received_at": pd.Timestamp("2025-01-01", tz="UTC")
            + pd.to_timedelta(np.array([day for _, day in rows], dtype=np.int64), unit="D"),
        }
    )


def dedupe(records: pd.DataFrame, *, near: NearDuplicateParams = NEAR, threads: int = 1) -> Deduplicated:
    return split_duplicates(records, near=near, seed=1, threads=threads)


rows = st.lists(
    st.tuples(st.lists(st.sampled_from("abc"), max_size=7).map(" ".join), st.integers(0, 3)), min_size=1, max_size=25
)


@pytest.mark.slow
@given(rows, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_properties_of_every_split(rows: list[tuple[str, int]], random) -> None:
    records = make_records(rows)
    found = dedupe(records)
    kept, dropped = set(found.kept["id"]), set(found.dropped["id"])
    assert kept | dropped == set(records["id"])
    assert len(kept) + len(dropped) == len(records)
    assert set(found.dropped["kept_id"]) <= kept

    by_id = records.set_index("id")
    order = {key: at for at, key in enumerate(records.sort_values(["received_at", "id"])["id"])}
    prints = fingerprint(records["text"].tolist(), near=NEAR, seed=1, threads=1)
    place = {key: at for at, key in enumerate(records["id"])}
    for row in found.dropped.itertuples():
        similarity = prints.similarity(place[row.id], place[row.kept_id])
        assert similarity == row.similarity >= NEAR.threshold
        assert order[row.kept_id] < order[row.id]
        assert by_id.loc[row.id, "text"].strip()
        if row.reason == "exact":
            assert by_id.loc[row.id, "text"] == by_id.loc[row.kept_id, "text"]

    shuffled = list(range(len(records)))
    random.shuffle(shuffled)
    again = dedupe(records.iloc[shuffled])
    pd.testing.assert_frame_equal(again.kept, found.kept)
    pd.testing.assert_frame_equal(again.dropped, found.dropped)

    twice = dedupe(found.kept)
    assert len(twice.dropped) == 0
    pd.testing.assert_frame_equal(twice.kept, found.kept)


def test_the_earliest_is_kept_then_the_lowest_id() -> None:
    found = dedupe(make_records([("a b c d", 2), ("a b c d", 1), ("a b c d", 1)]))
    assert found.kept["id"].tolist() == ["r0001"]
    assert found.dropped["kept_id"].tolist() == ["r0001", "r0001"]
    assert found.dropped["reason"].tolist() == ["exact", "exact"]


def test_no_chains() -> None:
    words = [f"w{n}" for n in range(20)]
    chain = [" ".join(words[at : at + 10]) for at in range(0, 8, 2)]  # each near the next, the ends share little
    found = dedupe(make_records([(text, day) for day, text in enumerate(chain)]))
    assert found.kept["id"].tolist() == ["r0000", "r0002"]
    assert found.dropped[["id", "kept_id"]].to_numpy().tolist() == [["r0001", "r0000"], ["r0003", "r0002"]]


def test_a_copy_of_a_dropped_text_names_the_kept_one() -> None:
    near_text = "a b c d e f g h x"
    found = dedupe(make_records([("a b c d e f g h", 0), (near_text, 1), (near_text, 2)]))
    assert found.kept["id"].tolist() == ["r0000"]
    assert found.dropped["kept_id"].tolist() == ["r0000", "r0000"]
    assert found.dropped["reason"].tolist() == ["near", "near"]
    assert found.dropped["similarity"].tolist() == [7 / 8, 7 / 8]


def test_records_without_text_are_all_kept() -> None:
    found = dedupe(make_records([("", 0)] * 50))
    assert len(found.kept) == 50
    assert found.n_blank == 50


def test_threads_change_no_byte() -> None:
    random = np.random.default_rng(3)
    records = make_records([(" ".join(random.choice(list("abcdef"), 9)), int(n) % 7) for n in range(4100)])
    pd.testing.assert_frame_equal(dedupe(records, threads=1).dropped, dedupe(records, threads=3).dropped)


@pytest.mark.slow
def test_nearly_all_pairs_at_the_threshold_are_found(repository) -> None:
    """At the shipped parameters, against planted pairs of similarity 0.8 and just above."""
    from pipelines.runtime.params import Parameters
    from pipelines.stages.dedupe.params import DedupeParams

    near = Parameters.read(repository).load("dedupe", DedupeParams).near_duplicates
    random = np.random.default_rng(5)
    rows: list[tuple[str, int]] = []
    for _ in range(1500):
        words = [f"w{n}" for n in random.integers(0, 10**6, 94)]  # 90 shingles
        copy = list(words)
        for at in (20, 60):  # ten shingles each way: 80 / 100
            copy[at] = "other"
        rows += [(" ".join(words), 0), (" ".join(copy), 1)]
    found = dedupe(make_records(rows), near=near)
    assert found.dropped["similarity"].eq(0.8).all()
    assert len(found.dropped) >= 0.99 * 1500


@pytest.mark.slow
def test_the_simulated_streams_known_pairs_are_found(repository) -> None:
    from datetime import date

    from pipelines.records.domain import Domain
    from pipelines.runtime.params import Parameters
    from pipelines.stages.dedupe.params import DedupeParams

    domain = Domain(repository / "pipelines" / "domains" / "complaints")
    parameters = Parameters.read(repository).section("simulator")
    window = {"start": date(2025, 1, 6), "end": date(2025, 3, 31), "seed": 11}
    raw = pd.concat(domain.simulate(**window, **parameters), ignore_index=True)
    records = domain.to_records(domain.normalize(raw))
    pairs = domain._attribute("simulator", "duplicate_pairs")(**window, **parameters)
    near_pairs = pairs[pairs["jaccard"] >= 0.8]
    params = Parameters.read(repository).load("dedupe", DedupeParams)
    found = split_duplicates(records, near=params.near_duplicates, seed=1, threads=1)
    gone = set(found.dropped["id"])
    caught = [row.id in gone or row.source_id in gone for row in near_pairs.itertuples()]
    assert len(caught) > 100
    assert np.mean(caught) >= 0.99
    assert (found.dropped["similarity"] >= params.near_duplicates.threshold).all()
