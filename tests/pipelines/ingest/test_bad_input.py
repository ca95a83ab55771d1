"""Bad input of every kind: each ends in a message that helps, or in quarantine with its reason."""

from __future__ import annotations

import errno
import gzip
import json

import pandas as pd
import pytest

from pipelines.core.errors import InputError, ParamsError
from tests.pipelines.ingest.conftest import ticket, tickets


def refusal(checkout) -> str:
    with pytest.raises(InputError) as caught:
        checkout.run()
    assert not list((checkout.folder / "data" / "ingest").glob("*.parquet"))
    assert not list((checkout.folder / "data" / "ingest").glob(".*partial"))
    return str(caught.value)


def reasons(checkout) -> list[str]:
    return checkout.quarantine()["reason"].tolist()


def test_an_empty_file(checkout) -> None:
    checkout.csv(tickets(10))
    (checkout.folder / "in" / "nothing.csv").write_bytes(b"")
    assert "in/nothing.csv is empty: 0 bytes" in refusal(checkout)
    assert checkout.exit_code() == 66


def test_a_header_without_rows_is_a_closed_gate(checkout) -> None:
    (checkout.folder / "in").mkdir()
    (checkout.folder / "in" / "tickets.csv").write_text("ticket,day,words,channel,price,label,senior\n")
    checkout.run()
    assert checkout.outcomes() == {
        "rejected_share": "failed", "rows": "failed", "stale_days": "failed", "volume": "undecided",
        "null_rise": "undecided", "scale": "undecided", "lost_columns": "failed", "gold_classes": "undecided",
        "passed": False,
    }  # fmt: skip


def test_no_such_file(checkout) -> None:
    assert "'in/*' names no file" in refusal(checkout)


def test_a_missing_column_names_the_nearest(checkout) -> None:
    checkout.csv([{("wordss" if key == "words" else key): value for key, value in row.items()} for row in tickets(10)])
    message = refusal(checkout)
    assert "in/tickets.csv: column 'words' is missing; the nearest is 'wordss' (was it renamed?)" in message
    assert "Found: ticket, day, wordss, channel" in message


def test_a_duplicated_column(checkout) -> None:
    (checkout.folder / "in").mkdir()
    (checkout.folder / "in" / "tickets.csv").write_text("ticket,day,words,day\n1,2024-01-01,hello,2024-01-01\n")
    assert "in/tickets.csv: column 'day' stands there 2 times" in refusal(checkout)


def test_a_wrong_encoding_names_file_and_byte(checkout) -> None:
    file = checkout.csv([*tickets(3000), ticket(3000, words="café")], encoding="cp1252")
    place = file.read_bytes().index(b"\xe9")
    message = refusal(checkout)
    assert f"in/tickets.csv: byte {place} (0xe9) is not utf-8" in message and "ingest.files.encoding" in message
    checkout.set(files={"encoding": "cp1252"})
    checkout.run()
    assert checkout.records()["text"].str.contains("café").sum() == 1


def test_an_unknown_encoding(checkout) -> None:
    checkout.csv(tickets(3))
    checkout.set(files={"encoding": "utf-9"})
    assert "ingest.files.encoding = 'utf-9' is unknown" in refusal(checkout)


def test_a_cut_archive(checkout) -> None:
    (checkout.folder / "in").mkdir()
    whole = gzip.compress(b"ticket,day,words\n" + b"1,2024-01-01,hello\n" * 5000)
    (checkout.folder / "in" / "tickets.csv.gz").write_bytes(whole[:-20])
    assert "in/tickets.csv.gz cannot be unpacked" in refusal(checkout)


def test_no_parquet(checkout) -> None:
    (checkout.folder / "in").mkdir()
    (checkout.folder / "in" / "tickets.parquet").write_bytes(b"PAR1 not really")
    assert "in/tickets.parquet is not readable as Parquet" in refusal(checkout)


def test_a_kind_of_file_nobody_reads(checkout) -> None:
    (checkout.folder / "in").mkdir()
    (checkout.folder / "in" / "tickets.xlsx").write_bytes(b"PK")
    assert ".csv, .csv.gz, .parquet or .jsonl would be right" in refusal(checkout)


def test_wrong_types_and_dates_go_to_quarantine_with_reasons(after_ingest) -> None:
    checkout = after_ingest(
        [
            *tickets(300),
            ticket(300, price="ten"),
            ticket(301, day="tomorrow"),
            ticket(302, day="1969-12-31"),
            ticket(303, ticket=""),
            ticket(304, label="praise"),
            ticket(305, day="yesterday", price="a lot"),
        ]
    )
    lost = checkout.quarantine()
    assert lost["row"].tolist() == [301, 302, 303, 304, 305, 306] and set(lost["file"]) == {"in/tickets.csv"}
    found = reasons(checkout)
    assert "price: str_matches" in found[0] and "found 'ten'" in found[0]
    assert "day: str_matches" in found[1] and "found 'tomorrow'" in found[1]
    assert found[2] == "received_at is before 1970-01-01"
    assert "ticket is missing" in found[3] and "label: isin" in found[4]
    assert "day:" in found[5] and "price:" in found[5]
    assert checkout.outcomes()["passed"]


def test_too_many_bad_rows_close_the_gate(after_ingest) -> None:
    outcomes = after_ingest([*tickets(300), *tickets(30, price="ten")]).outcomes()
    assert outcomes["rejected_share"] == "failed" and not outcomes["passed"]


def test_dates_in_the_future_are_outside_the_window(after_ingest, caplog) -> None:
    checkout = after_ingest([*tickets(300), ticket(300, day="2087-01-01"), ticket(301, day="2024-02-26")])
    assert checkout.metrics()["outside"]["after"] == 2 and len(checkout.records()) == 300
    assert "2 rows are dated after the window" in caplog.text


def test_repeated_ids_keep_the_first_row(after_ingest) -> None:
    checkout = after_ingest([*tickets(300), ticket(4), ticket(5, words="Another story", day="2024-01-02")])
    lost = checkout.quarantine()
    assert lost["kind"].tolist() == ["repeated", "rejected"]
    assert lost["reason"].tolist() == ["the same record came before", "another record with this id came before"]
    kept = checkout.records().set_index("id").loc["t00005"]
    assert kept["text"].startswith("My parcel")


def test_a_file_that_ends_inside_a_row(checkout) -> None:
    file = checkout.csv(tickets(300))
    for tail in ('\nt9,2024-01-03,"cut in the mid', "\nt9,2024-01-0", '\nt9,2024-01-03,text,web,1,refund,"y'):
        file.write_text(file.read_text().split("\nt9")[0].rstrip("\n") + tail)
        checkout.run()
        assert len(checkout.records()) == 300
        assert "of 7 fields (the file ends inside the row)" in reasons(checkout)[0]
        assert checkout.quarantine()["row"].tolist() == [301]


def test_rows_with_too_many_fields_and_blank_lines(checkout) -> None:
    file = checkout.csv(tickets(300))
    file.write_text(file.read_text() + "a,b,c,d,e,f,g,h\n\n" + "t9,2024-01-03,last,web,1,refund,yes\n")
    checkout.run()
    assert len(checkout.records()) == 301
    assert reasons(checkout) == ["8 of 7 fields"]


@pytest.mark.slow
def test_a_narrative_of_ten_megabytes(after_ingest) -> None:
    checkout = after_ingest([*tickets(300), ticket(300, words="word " * 2_000_000)])
    assert reasons(checkout) == ["text has more than 200000 characters"]
    assert len(checkout.quarantine()["raw"].iloc[0]) < 2000


def test_control_characters_nul_bytes_and_html(after_ingest) -> None:
    words = "a\x00b\x07c\r\nd\u2028e\tf <b>bold</b> cafe\u0301\ufeff"
    checkout = after_ingest([*tickets(300), ticket(300, words=words, channel="w\x00eb")])
    record = checkout.records().set_index("id").loc["t00300"]
    assert record["text"] == "abc\nd\ne\tf <b>bold</b> café"
    assert record["channel"] == "web"


def test_one_class_only_closes_and_says_so(after_ingest) -> None:
    checkout = after_ingest(tickets(label="refund"))
    assert checkout.outcomes()["gold_classes"] == "failed"


def test_no_gold_at_all_is_undecided(after_ingest) -> None:
    checkout = after_ingest(tickets(label=None))
    assert checkout.outcomes()["gold_classes"] == "undecided" and checkout.outcomes()["passed"]
    assert checkout.records()["gold"].isna().all()


def test_a_protected_group_of_three_is_counted(after_ingest) -> None:
    rows = [ticket(number, senior="yes" if number < 3 else "no") for number in range(300)]
    assert after_ingest(rows).metrics()["groups"]["senior"]["member"]["accepted"] == 3


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"rows": 3}, r"ingest\.rows is unknown"),
        ({"chunk_rows": 0}, r"ingest\.chunk_rows = 0"),
        ({"limits": {"max_rejected_share": 1.4}}, r"ingest\.limits\.max_rejected_share = 1\.4"),
        ({"limits": {"volume": [2.0, 0.5]}}, r"\[least, most\] would be right"),
        ({"start": "2024-03-01"}, "not before end"),
        ({"source": "fax"}, r"ingest\.source = 'fax'"),
        ({"source": "sql"}, r"needs sql\.query"),
        ({"sql": {"query": "select * from t where day >= :start and day < :end"}}, "lacks ORDER BY"),
        ({"sql": {"query": "select * from t order by 1"}}, "lacks :start"),
    ],
)
def test_wrong_knobs(checkout, knobs, message) -> None:
    checkout.csv(tickets(3))
    checkout.set(**knobs)
    with pytest.raises(ParamsError, match=message):
        checkout.run()
    assert checkout.exit_code() == 64


@pytest.mark.parametrize("victim", ["records", "spool", "metrics"])
def test_a_full_disk_leaves_nothing_half_written(checkout, monkeypatch, victim) -> None:
    checkout.csv(tickets())
    checkout.run()
    before = checkout.bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    target = {
        "records": "pipelines.ingest.spool.RowGroups.write",
        "spool": "pipelines.ingest.spool.Spool._flush",
        "metrics": "os.fsync",
    }[victim]
    monkeypatch.setattr(target, full)
    checkout.csv(tickets(words="new words"))
    assert checkout.exit_code() == 74
    assert checkout.bytes() == before


def test_json_lines_with_broken_ones(checkout) -> None:
    (checkout.folder / "in").mkdir()
    lines = [json.dumps({**ticket(number), "price": 12.5, "extra": {"a": [1]}}) for number in range(300)]
    lines[7:7] = ["{not json", "[1, 2]", ""]
    (checkout.folder / "in" / "tickets.jsonl").write_text("\n".join(lines))
    checkout.run()
    assert len(checkout.records()) == 300 and (checkout.records()["price"] == 12.5).all()
    assert checkout.quarantine()["row"].tolist() == [8, 9]
    assert "not JSON" in reasons(checkout)[0] and reasons(checkout)[1] == "no JSON object"


def test_parquet_and_compressed_csv_give_the_same_records(checkout) -> None:
    file = checkout.csv(tickets())
    checkout.run()
    wanted = checkout.bytes()["records.parquet"]
    (checkout.folder / "in" / "tickets.csv.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    checkout.run()
    assert checkout.bytes()["records.parquet"] == wanted
    (checkout.folder / "in" / "tickets.csv.gz").unlink()
    frame = pd.DataFrame(tickets())
    frame["day"], frame["price"] = pd.to_datetime(frame["day"]), frame["price"].astype("int64")
    frame.to_parquet(checkout.folder / "in" / "tickets.parquet", row_group_size=100)
    checkout.run()
    assert checkout.bytes()["records.parquet"] == wanted


def test_paths_start_at_perennial_data(checkout, tmp_path, monkeypatch) -> None:
    file = checkout.csv(tickets())
    (tmp_path / "elsewhere" / "in").mkdir(parents=True)
    file.rename(tmp_path / "elsewhere" / "in" / "tickets.csv")
    monkeypatch.setenv("PERENNIAL_DATA", str(tmp_path / "elsewhere"))
    checkout.run()
    assert len(checkout.records()) == 560
