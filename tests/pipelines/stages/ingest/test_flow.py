"""What ingest makes of good input: same bytes, every row in one place, gold only when it has arrived."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from pipelines.runtime.project import Project
from tests.factories.tickets import END, ticket, tickets


def test_a_clean_window_opens_the_gate(after_ingest) -> None:
    checkout = after_ingest(tickets())
    assert checkout.outcomes()["passed"] is True
    assert len(checkout.records()) == 560 and len(checkout.quarantine()) == 0
    assert sorted(checkout.bytes()) == [
        "metrics.json", "per_day.parquet", "quarantine.parquet", "records.parquet", "verdict.json",
    ]  # fmt: skip


def test_the_same_window_gives_the_same_bytes_whatever_the_chunks(checkout) -> None:
    rows = [*tickets(300), ticket(3, words=""), ticket(5), ticket(6, price="much"), ticket(7, words="changed")]
    checkout.csv(rows[:150], "b.csv")
    checkout.csv(rows[150:], "c.csv.d.csv")
    found = []
    for chunk_rows in (50_000, 50_000, 97, 41):
        checkout.set(chunk_rows=chunk_rows)
        checkout.run()
        found.append(checkout.bytes())
    assert all(item == found[0] for item in found[1:])


def test_records_stand_in_order_of_time_and_id(after_ingest) -> None:
    records = after_ingest(tickets()[::-1]).records()
    expected = records.sort_values(["received_at", "id"], ignore_index=True)
    pd.testing.assert_frame_equal(records, expected)


def test_every_row_read_stands_in_exactly_one_count(after_ingest) -> None:
    rows = [
        *tickets(200),
        ticket(201, day="2023-12-31"),
        ticket(202, day=END.isoformat()),
        ticket(203, words="  "),
        ticket(204, price="ten"),
        ticket(1),
        ticket(2, words="another story"),
    ]
    checkout = after_ingest(rows)
    counts = checkout.metrics()["rows"]
    assert counts.pop("read") == sum(counts.values()) == len(rows)
    assert counts == {
        "outside_window": 2, "rejected": 1, "without_text": 1, "repeated": 1, "revised": 1, "accepted": 200,
    }  # fmt: skip
    assert checkout.metrics()["outside"] == {"before": 1, "after": 1}
    assert len(checkout.quarantine()) == 4


def test_gold_is_masked_until_it_has_arrived(after_ingest) -> None:
    records = after_ingest(tickets()).records()
    end = pd.Timestamp(END, tz="UTC")
    assert (records["gold_at"].dropna() <= end).all()
    late = records["received_at"] + pd.Timedelta(days=14) > end
    assert records["gold"].isna().equals(late) and records["gold_at"].isna().equals(late)


def test_rows_without_text_stay_where_that_is_asked_for(after_ingest) -> None:
    checkout = after_ingest([*tickets(200), ticket(200, words="")], keep_without_text=True)
    assert checkout.metrics()["rows"]["without_text"] == 0
    assert (checkout.records()["text"] == "").sum() == 1


def test_lost_rows_are_counted_by_group(after_ingest) -> None:
    checkout = after_ingest([*tickets(300), ticket(300, words="", senior="yes"), ticket(301, words="", senior="no")])
    groups = checkout.metrics()["groups"]["senior"]
    assert groups == {
        "member": {"accepted": 100, "without_text": 1},
        "rest": {"accepted": 200, "without_text": 1},
    }


def test_per_day_holds_rows_by_day_and_file(checkout) -> None:
    checkout.csv(tickets(112)[:56], "a.csv")
    checkout.csv(tickets(112)[56:], "b.csv")
    checkout.run()
    per_day = pd.read_parquet("data/ingest/per_day.parquet")
    assert per_day["rows"].sum() == 112 and len(per_day) == 112
    assert set(per_day["file"]) == {"in/a.csv", "in/b.csv"}
    assert per_day.groupby("day")["digest"].nunique().eq(1).all()


def test_the_raw_digest_sees_any_changed_cell(after_ingest) -> None:
    before = after_ingest(tickets()).metrics()["raw_digest"]
    rows = tickets()
    rows[17]["channel"] = "fax"
    assert after_ingest(rows).metrics()["raw_digest"] != before


def test_texts_are_redacted_in_records_and_in_quarantine(after_ingest) -> None:
    checkout = after_ingest(
        [*tickets(200), ticket(200, words="write to ann@example.org"), ticket(201, words="bob@example.org", price="x")]
    )
    assert checkout.records()["text"].str.contains("[EMAIL]", regex=False).sum() == 1
    lost = checkout.quarantine()
    assert "[EMAIL]" in lost["raw"].iloc[0] and "bob@" not in lost["raw"].iloc[0]
    assert checkout.metrics()["redacted"]["email"] == 1


def test_a_revised_past_day_is_reported_against_the_last_good_run(after_ingest) -> None:
    from pipelines.stages.ingest.commands import remember

    checkout = after_ingest(tickets())
    remember(Project.open())
    assert len(json.loads((checkout.folder / "data/last_good.json").read_text())["days"]) == 56
    rows = tickets()
    rows[0]["words"] = "The source thought again"
    checkout = after_ingest(rows, revision=1)
    verdict = json.loads((checkout.folder / "data/ingest/verdict.json").read_text())
    check = next(item for item in verdict["checks"] if item["name"] == "revised_share")
    assert check["details"]["days"] == ["2024-01-01"] and check["value"] == pytest.approx(1 / 56)
    assert verdict["passed"]
    checkout = after_ingest(tickets(words="All of it is new"), revision=2)
    assert checkout.outcomes()["revised_share"] == "failed" and not checkout.outcomes()["passed"]


def test_good_input_is_only_remembered_behind_an_open_gate(after_ingest) -> None:
    from pipelines.runtime.errors import GateClosed
    from pipelines.stages.ingest.commands import remember

    after_ingest(tickets(56))
    with pytest.raises(GateClosed, match="rows failed"):
        remember(Project.open())


def test_a_missing_reference_names_the_command_that_writes_it(checkout) -> None:
    from pipelines.runtime.errors import InputError

    checkout.csv(tickets())
    (checkout.folder / "data/last_good.json").unlink()
    with pytest.raises(InputError, match=r"ingest\.reference.*pipelines remember"):
        checkout.run()
