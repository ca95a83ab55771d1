"""The wipe-out guard: a clean removal passes; a swallowed data set, one huge cluster or nothing at all closes it."""

from dataclasses import replace

import pandas as pd
import pytest

from pipelines.gates.verdict import Verdict
from pipelines.records.schema import ProtectedAttribute
from pipelines.runtime.params import Parameters
from pipelines.stages.dedupe.duplicates import Deduplicated, split_duplicates
from pipelines.stages.dedupe.guard import check_dedupe
from pipelines.stages.dedupe.params import DedupeParams
from pipelines.stages.dedupe.report import count_dropped, summarize


@pytest.fixture(scope="module")
def params(repository) -> DedupeParams:
    return Parameters.read(repository).load("dedupe", DedupeParams)


def found(params: DedupeParams, texts: list[str]) -> Deduplicated:
    return split_duplicates(make_records(texts), near=params.near_duplicates, seed=1, threads=1)


def make_records(texts: list[str]) -> pd.DataFrame:
    n = len(texts)
    return pd.DataFrame(
        {
            "id": pd.array([f"r{at:03d}" for at in range(n)], dtype="string"),
            "text": pd.array(texts, dtype="string"),
            "received_at": pd.date_range("2025-01-01", periods=n, freq="h", tz="UTC"),
            "elder": pd.array([[1, 0, None][at % 3] for at in range(n)], dtype="Int8"),
        }
    )


def closed_by(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.closed_by]


def unlike(n: int) -> list[str]:
    return [f"text number {at} about thing {at * 7}" for at in range(n)]


def test_a_clean_removal_opens(params) -> None:
    verdict = check_dedupe(found(params, [*unlike(60), *unlike(5)]), params=params)
    assert verdict.passed and verdict.checks[0].name == "conservation" and verdict.checks[0].outcome == "passed"


@pytest.mark.parametrize("lost", ["kept", "dropped"])
def test_a_record_that_is_neither_kept_nor_dropped_closes(params, lost) -> None:
    some = found(params, [*unlike(60), *unlike(5)])
    verdict = check_dedupe(replace(some, **{lost: getattr(some, lost).iloc[1:]}), params=params)
    assert closed_by(verdict) == ["conservation"]


def test_a_record_that_is_kept_twice_in_place_of_another_closes(params) -> None:
    some = found(params, unlike(60))
    kept = pd.concat([some.kept.iloc[1:], some.kept.iloc[-1:]])
    assert closed_by(check_dedupe(replace(some, kept=kept), params=params)) == ["conservation"]


def test_too_large_a_removal_closes(params) -> None:
    verdict = check_dedupe(found(params, unlike(40) * 3), params=params)
    assert closed_by(verdict) == ["removed_share"]
    assert verdict.shown_records[0]["repeated"] == 2


def test_one_huge_cluster_closes(params) -> None:
    verdict = check_dedupe(found(params, [*unlike(80), *["the same letter again and again"] * 15]), params=params)
    assert closed_by(verdict) == ["largest_cluster_share"]


@pytest.mark.parametrize("text", ["N/A", "[REDACTED]", "no comment"])
def test_a_placeholder_that_swallows_records_closes(params, text) -> None:
    verdict = check_dedupe(found(params, [*unlike(95), *[text] * 5]), params=params)
    assert closed_by(verdict) == ["placeholder_share"]


def test_a_search_cut_short_closes(params) -> None:
    some = found(params, unlike(60))
    cut = replace(some, n_cut=10)
    assert closed_by(check_dedupe(cut, params=params)) == ["cut_share"]


def test_no_record_closes(params) -> None:
    assert "kept_rows" in closed_by(check_dedupe(found(params, []), params=params))


def test_too_few_texts_decide_nothing(params) -> None:
    assert closed_by(check_dedupe(found(params, unlike(3)), params=params)) == [
        "removed_share",
        "largest_cluster_share",
        "placeholder_share",
    ]


def test_a_domain_without_text_opens(params) -> None:
    assert check_dedupe(found(params, [""] * 40), params=params).passed


def test_what_fell_out_is_counted_by_reason_and_group(params) -> None:
    texts = [*unlike(9), *unlike(3)]
    records = make_records(texts)
    some = split_duplicates(records, near=params.near_duplicates, seed=1, threads=1)
    attribute = ProtectedAttribute("elder", member="elders", rest="others")
    table = count_dropped(records, dropped=some.dropped, protected=[attribute])
    exact = table[table["reason"] == "exact"].set_index("group")
    assert exact["dropped"].to_dict() == {"everybody": 3, "elders": 1, "others": 1, "unknown": 1}
    assert exact["rows_in"].to_dict() == {"everybody": 12, "elders": 4, "others": 4, "unknown": 4}
    metrics = summarize(some, table=table)
    assert metrics["dropped"] == {"exact": 3, "near": 0}
    assert metrics["dropped_by_group"]["elder"]["elders"] == {"rows_in": 4, "exact": 1, "near": 0}
