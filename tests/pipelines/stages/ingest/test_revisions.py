"""The newest state of a record wins: by file and row, or by a version column; older states are counted as revised."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.runtime.errors import InputError
from tests.factories.tickets import END, START, ticket, tickets


def counts(checkout) -> dict[str, int]:
    rows = checkout.metrics()["rows"]
    assert rows["read"] == sum(count for name, count in rows.items() if name != "read")
    return {name: rows[name] for name in ("accepted", "repeated", "revised", "rejected")}


def record(checkout, number: int) -> pd.Series:
    return checkout.records().set_index("id").loc[f"t{number:05d}"]


def test_exports_that_overlap_keep_the_newest_answers(checkout) -> None:
    checkout.csv([ticket(n, label="" if n < 200 else "refund") for n in range(300)], "2024-02-26.csv")
    checkout.csv([ticket(n, label="repair", price="20") for n in range(200)], "2024-03-04.csv")
    checkout.run()
    assert counts(checkout) == {"accepted": 300, "repeated": 0, "revised": 200, "rejected": 0}
    assert checkout.outcomes()["rejected_share"] == checkout.outcomes()["reused_ids"] == "passed"
    records = checkout.records()
    known = records[records["received_at"] < pd.Timestamp(END, tz="UTC") - timedelta(days=14)]
    assert known["gold"].notna().all()
    assert record(checkout, 3)["gold"] == "repair"
    assert record(checkout, 3)["gold_at"] == pd.Timestamp(START, tz="UTC") + timedelta(days=3 + 14)
    lost = checkout.quarantine()
    assert set(lost["kind"]) == {"revised"} and set(lost["file"]) == {"in/2024-02-26.csv"}
    assert lost["reason"].iloc[0].endswith("found in in/2024-03-04.csv, row 1")
    assert checkout.metrics()["reasons"] == {"revised: a newer state of this record replaced it": 200}


def test_a_state_that_comes_again_is_repeated_and_a_change_back_is_a_revision(after_ingest) -> None:
    flip = [ticket(5, price="11"), ticket(5, price="12"), ticket(5, price="12"), ticket(5, price="11")]
    checkout = after_ingest([*tickets(5), *tickets(300)[6:], *flip, ticket(4)])
    assert counts(checkout) == {"accepted": 300, "repeated": 2, "revised": 2, "rejected": 0}
    assert record(checkout, 5)["price"] == 11
    assert checkout.quarantine()["kind"].tolist() == ["revised", "revised", "repeated", "repeated"]


def test_a_record_whose_time_changed_is_one_record(after_ingest) -> None:
    checkout = after_ingest([*tickets(300), ticket(5, day="2024-01-20"), ticket(6, words="A word was mistyped")])
    assert counts(checkout) == {"accepted": 300, "repeated": 0, "revised": 2, "rejected": 0}
    assert record(checkout, 5)["received_at"] == pd.Timestamp("2024-01-20", tz="UTC")
    assert record(checkout, 6)["text"] == "A word was mistyped"


def test_a_record_that_moved_out_of_the_window_or_lost_its_text_is_gone(after_ingest) -> None:
    late = [ticket(5, day="2087-01-01"), ticket(6, day="2020-01-01"), ticket(7, words=" ")]
    checkout = after_ingest([*tickets(300), *late])
    assert counts(checkout) == {"accepted": 297, "repeated": 0, "revised": 3, "rejected": 0}
    assert not set(checkout.records()["id"]) & {"t00005", "t00006", "t00007"}


def test_a_record_that_moved_into_the_window_is_there(after_ingest) -> None:
    early = [ticket(5, day="2087-01-01"), ticket(6, words=" ")]
    checkout = after_ingest([*early, *tickets(300)])
    assert counts(checkout) == {"accepted": 300, "repeated": 0, "revised": 0, "rejected": 0}


def test_a_newer_state_that_is_rejected_replaces_nothing(after_ingest) -> None:
    checkout = after_ingest([*tickets(300), ticket(5, price="ten")])
    assert counts(checkout) == {"accepted": 300, "repeated": 0, "revised": 0, "rejected": 1}


VERSIONS = {
    "numbers": ("9", "10", ""),
    "times": ("2024-03-01T09:30:00+02:00", "2024-03-01T08:00:00Z", ""),
    "days": ("2024-03-01", "2024-03-02", None),
}


@pytest.mark.parametrize("kind", VERSIONS)
@pytest.mark.parametrize("chunk_rows", [50_000, 7])
def test_a_version_column_decides_whatever_the_order_of_the_files(checkout, kind, chunk_rows) -> None:
    old, new, none = VERSIONS[kind]
    checkout.csv([ticket(n, Version=new, label="repair", price="20") for n in range(300)], "a.csv")
    checkout.csv([ticket(n, Version=old if n % 2 else none, label="refund") for n in range(300)], "b.csv")
    checkout.set(version_column="version", chunk_rows=chunk_rows)
    checkout.run()
    assert counts(checkout) == {"accepted": 300, "repeated": 0, "revised": 300, "rejected": 0}
    assert set(checkout.records()["gold"].dropna()) == {"repair"}


def test_large_version_numbers_are_compared_exactly(checkout) -> None:
    for name, version in (("a", 2**62 + 1), ("b", 2**62)):
        rows = pd.DataFrame(tickets(200, label="repair" if name == "a" else "refund")).assign(version=version)
        (checkout.folder / "in").mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), checkout.folder / "in" / f"{name}.parquet")
    checkout.set(version_column="version")
    checkout.run()
    assert set(checkout.records()["gold"].dropna()) == {"repair"}


@pytest.mark.parametrize("version", ["soon", "2024-03-01"])
def test_a_version_that_has_no_order_is_refused_with_its_place(checkout, version) -> None:
    checkout.csv([*tickets(3, version="1"), ticket(3, version=version)])
    checkout.set(version_column="version")
    with pytest.raises(InputError, match=rf"in/tickets\.csv, row 4: column 'version' .* '{version}'"):
        checkout.run()


def test_a_missing_version_column_is_refused(checkout) -> None:
    checkout.csv(tickets(3))
    checkout.set(version_column="changed_at")
    with pytest.raises(InputError, match=r"version_column = 'changed_at' names 0 columns"):
        checkout.run()


def test_ids_that_are_used_again_for_other_records_close_the_gate(checkout) -> None:
    checkout.csv(tickets(300), "a.csv")
    other = [
        ticket(n, words=f"another story {n}", day=(START + timedelta(days=(n + 9) % 56)).isoformat()) for n in range(60)
    ]
    checkout.csv(other, "b.csv")
    checkout.run()
    assert checkout.outcomes()["reused_ids"] == "failed" and not checkout.outcomes()["passed"]


def test_the_result_does_not_depend_on_the_chunks(checkout) -> None:
    checkout.csv([*tickets(300), ticket(5, day="2087-01-01")], "a.csv")
    checkout.csv([*tickets(100, label="repair"), *tickets(100, label="repair"), ticket(9, words="")], "b.csv")
    found = []
    for chunk_rows in (50_000, 41, 7):
        checkout.set(chunk_rows=chunk_rows)
        checkout.run()
        found.append(checkout.bytes())
    assert all(item == found[0] for item in found[1:])
