"""Bad input of every kind: each ends in a message that helps, or in quarantine with its reason."""

from __future__ import annotations

import errno
import gzip
import importlib.util
import json
from datetime import date

import pandas as pd
import pytest

from pipelines.records.validation import in_words
from pipelines.runtime.errors import InputError, ParamsError
from tests.factories.tickets import ticket, tickets


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
    assert "in/nothing.csv is empty (0 bytes)" in refusal(checkout)
    assert checkout.exit_code() == 66


def test_a_header_without_rows_is_a_closed_gate(checkout) -> None:
    (checkout.folder / "in").mkdir()
    (checkout.folder / "in" / "tickets.csv").write_text("ticket,day,words,channel,price,label,senior\n")
    checkout.run()
    assert checkout.outcomes() == {
        "conservation": "passed", "lost_characters": "passed", "long_rows": "passed",
        "reused_ids": "undecided",
        "rejected_share": "undecided", "rows": "failed", "stale_days": "undecided", "volume": "undecided",
        "null_rise": "undecided", "scale": "undecided", "lost_columns": "undecided", "gold_classes": "undecided",
        "passed": False,
    }  # fmt: skip


def test_no_such_file(checkout) -> None:
    assert "'in/*' matches no file" in refusal(checkout)


def test_a_missing_column_names_the_nearest(checkout) -> None:
    checkout.csv([{("wordss" if key == "words" else key): value for key, value in row.items()} for row in tickets(10)])
    message = refusal(checkout)
    assert "in/tickets.csv: column 'words' is missing; the nearest is 'wordss' (was it renamed?)" in message
    assert "Found: ticket, day, wordss, channel" in message


def test_a_column_that_only_the_schema_wants_names_the_nearest_too(checkout) -> None:
    change_schema(checkout, '("price", "label", "channel", "senior")', '("price", "channel", "senior")')
    checkout.csv([{("labels" if key == "label" else key): value for key, value in row.items()} for row in tickets(10)])
    assert "in/tickets.csv: column 'label' of RawSchema is missing; the nearest is 'labels'" in refusal(checkout)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("not_nullable", "price is missing"),
        ("greater_than_or_equal_to(0)", "price is below 0"),
        ("coerce_dtype('float64')", "price is not of type 'float64'"),
        ("price is not a number", "price is not a number"),
        ("even", "price: even"),
    ],
)
def test_a_reason_is_in_words(check, words) -> None:
    assert in_words("price", check) == words


def test_a_duplicated_column(checkout) -> None:
    (checkout.folder / "in").mkdir()
    (checkout.folder / "in" / "tickets.csv").write_text("ticket,day,words,day\n1,2024-01-01,hello,2024-01-01\n")
    assert "in/tickets.csv: column 'day' occurs 2 times" in refusal(checkout)


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
    assert "invalid ingest.files.encoding = 'utf-9'" in refusal(checkout)


def test_a_cut_archive(checkout) -> None:
    (checkout.folder / "in").mkdir()
    whole = gzip.compress(b"ticket,day,words\n" + b"1,2024-01-01,hello\n" * 5000)
    (checkout.folder / "in" / "tickets.csv.gz").write_bytes(whole[:-20])
    assert "in/tickets.csv.gz cannot be unpacked" in refusal(checkout)


def test_no_parquet(checkout) -> None:
    (checkout.folder / "in").mkdir()
    (checkout.folder / "in" / "tickets.parquet").write_bytes(b"PAR1 not really")
    assert "in/tickets.parquet is not readable as Parquet" in refusal(checkout)


def test_an_unknown_kind_of_file(checkout) -> None:
    (checkout.folder / "in").mkdir()
    (checkout.folder / "in" / "tickets.xlsx").write_bytes(b"PK")
    assert "expected .csv, .csv.gz, .parquet or .jsonl" in refusal(checkout)


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
    assert found[0] == r"price does not match '^\d+(\.\d+)?$'; found 'ten'"
    assert found[1] == r"day does not match '^\d{4}-\d{2}-\d{2}'; found 'tomorrow'"
    assert found[2] == "received_at is before 1970-01-01"
    assert found[3] == "ticket is missing; found ''" or found[3] == "ticket is missing; found null"
    assert found[4] == "label is not one of ['refund', 'repair']; found 'praise'"
    assert "day does not match" in found[5] and "price does not match" in found[5]
    assert checkout.outcomes()["passed"]


def test_too_many_bad_rows_close_the_gate(after_ingest) -> None:
    outcomes = after_ingest([*tickets(300), *tickets(30, price="ten")]).outcomes()
    assert outcomes["rejected_share"] == "failed" and not outcomes["passed"]


def test_dates_in_the_future_are_outside_the_window(after_ingest, caplog) -> None:
    checkout = after_ingest([*tickets(300), ticket(300, day="2087-01-01"), ticket(301, day="2024-02-26")])
    assert checkout.metrics()["outside"]["after"] == 2 and len(checkout.records()) == 300
    assert "2 rows are dated after the window" in caplog.text


def test_a_file_that_ends_inside_a_row(checkout) -> None:
    file = checkout.csv(tickets(300))
    for tail in ('\nt9,2024-01-03,"cut in the mid', "\nt9,2024-01-0", '\nt9,2024-01-03,text,web,1,refund,"y'):
        file.write_text(file.read_text().split("\nt9")[0].rstrip("\n") + tail)
        checkout.run()
        assert len(checkout.records()) == 300
        assert "of 7 fields (the file ends inside the row)" in reasons(checkout)[0]
        assert checkout.quarantine()["row"].tolist() == [301]
        assert checkout.metrics()["accounting"]["files"][0]["ends_inside_row"] is True


@pytest.mark.parametrize(
    "tail",
    [
        "t9,2024-01-03,text,web,1,refund,",
        't9,2024-01-03,"text, and more",web,1,refund,',
        't9,2024-01-03,text,web,1,refund,"',
        't9,2024-01-03,text,web,1,"refund,yes,',
        't9,2024-01-03,"text\nin two lines',
        't9,2024-01-03,"text"',
        't9,2024-01-03,"say ""no""',
    ],
)
def test_a_last_row_that_was_cut_goes_to_quarantine(checkout, tail) -> None:
    file = checkout.csv(tickets(300))
    file.write_text(file.read_text() + tail)
    checkout.run()
    assert len(checkout.records()) == 300
    assert checkout.quarantine()["row"].tolist() == [301]
    assert "of 7 fields (the file ends inside the row)" in reasons(checkout)[0]


@pytest.mark.parametrize(
    "tail",
    [
        "t9,2024-01-03,text,web,1,refund,yes",
        't9,2024-01-03,text,web,1,refund,"yes"',
        't9,2024-01-03,"text,\nin two lines",web,1,refund,yes',
        "t9,2024-01-03,text,web,1,refund,\n",
        "t9,2024-01-03,text,web,1,refund,\r\n",
    ],
)
def test_a_last_row_that_is_whole_is_kept(checkout, tail) -> None:
    file = checkout.csv(tickets(300))
    file.write_bytes(file.read_bytes() + tail.encode())
    checkout.run()
    assert len(checkout.records()) == 301
    assert reasons(checkout) == []


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


def test_one_class_only_closes_with_its_name(after_ingest) -> None:
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
    ("parameters", "message"),
    [
        ({"rows": 3}, r"unknown parameter ingest\.rows"),
        ({"chunk_rows": 0}, r"ingest\.chunk_rows = 0"),
        ({"limits": {"max_rejected_share": 1.4}}, r"ingest\.limits\.max_rejected_share = 1\.4"),
        ({"limits": {"volume": [2.0, 0.5]}}, r"expected \[min, max\]"),
        ({"start": "2024-03-01"}, "not before end"),
        ({"source": "fax"}, r"ingest\.source = 'fax'"),
        ({"source": "sql"}, r"needs sql\.query"),
        ({"sql": {"query": "select * from t where day >= :start and day < :end"}}, "lacks ORDER BY"),
        ({"sql": {"query": "select * from t order by 1"}}, "lacks :start"),
    ],
)
def test_wrong_parameters(checkout, parameters, message) -> None:
    checkout.csv(tickets(3))
    checkout.set(**parameters)
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
        "records": "pipelines.stages.ingest.spool.RowGroups.write",
        "spool": "pipelines.stages.ingest.spool.Spool._flush",
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
    assert "not JSON" in reasons(checkout)[0] and reasons(checkout)[1] == "not a JSON object"


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


def put(checkout, name: str, content: bytes) -> None:
    (checkout.folder / "in").mkdir(exist_ok=True)
    (checkout.folder / "in" / name).write_bytes(content)


def lines_of(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def change_schema(checkout, old: str, new: str) -> None:
    schema = checkout.folder / "domain" / "schema.py"
    text = schema.read_text()
    assert text.count(old) == 1
    schema.write_text(text.replace(old, new))


def test_a_folder_for_a_file(checkout) -> None:
    checkout.csv(tickets(3))
    checkout.set(files={"paths": ["in"]})
    assert "'in' is a folder: expected files, as in 'in/*.csv'" in refusal(checkout)


@pytest.mark.parametrize(("path", "why"), [("foo://x/y.csv", "foo"), ("s3://bucket/x.csv", "s3fs")])
def test_an_address_that_nothing_here_opens(checkout, path, why) -> None:
    if why == "s3fs" and importlib.util.find_spec("s3fs"):
        pytest.skip("s3fs is installed, so this address can be opened")
    checkout.set(files={"paths": [path]})
    message = refusal(checkout)
    assert f"{path!r} cannot be opened" in message and why in message


def test_one_json_array_is_no_json_lines(checkout) -> None:
    put(checkout, "tickets.json", json.dumps(tickets(3)).encode())
    message = refusal(checkout)
    assert "none of its 1 lines is a JSON object" in message and "not one array" in message


@pytest.mark.parametrize("chunk_rows", [20, 50_000])  # of 20: the first chunk has no line with all keys
def test_keys_that_the_first_lines_lack(checkout, chunk_rows) -> None:
    rows = [ticket(number) if number >= 30 else {"ticket": f"t{number}", "day": "2024-01-01"} for number in range(300)]
    put(checkout, "tickets.jsonl", b"{broken\n" + lines_of(rows))
    checkout.set(chunk_rows=chunk_rows)
    checkout.run()
    assert len(checkout.records()) == 270
    assert checkout.quarantine()["kind"].tolist() == ["rejected", *["without_text"] * 30]


def test_half_a_character_in_json_is_replaced(checkout) -> None:
    rows = tickets(300)
    put(checkout, "tickets.jsonl", lines_of(rows[:-1]) + lines_of(rows[-1:]).replace(b"please", b"\\ud83d please"))
    checkout.run()
    assert checkout.records()["text"].str.contains("\N{REPLACEMENT CHARACTER}").sum() == 1


def test_columns_that_differ_only_in_case(checkout) -> None:
    checkout.csv([{**row, "Day": row["day"]} for row in tickets(3)])
    assert "2 columns are named 'day' after normalize ('day', 'Day'); keep one" in refusal(checkout)


def test_fields_separated_by_semicolons(checkout) -> None:
    checkout.csv(tickets())
    checkout.run()
    wanted = checkout.bytes()["records.parquet"]
    pd.DataFrame(tickets()).to_csv(checkout.folder / "in" / "tickets.csv", sep=";", index=False)
    checkout.run()
    assert checkout.bytes()["records.parquet"] == wanted
    assert checkout.metrics()["accounting"]["files"][0]["notes"]["dialect"]["delimiter"] == ";"
    checkout.set(files={"delimiter": ","})
    with pytest.raises(InputError, match="column 'ticket' is missing; fields seem to be separated by ';'"):
        checkout.run()


def test_blanks_around_an_id_are_no_part_of_it(after_ingest) -> None:
    checkout = after_ingest([*tickets(300), *[ticket(number, ticket=f" t{number:05d} ") for number in range(20)]])
    assert len(checkout.records()) == 300 and checkout.metrics()["rows"]["repeated"] == 20


def test_lists_in_parquet_become_json(checkout) -> None:
    (checkout.folder / "in").mkdir()
    pd.DataFrame(tickets(300)).assign(channel=[["web", "mail"]] * 300).to_parquet(
        checkout.folder / "in/tickets.parquet"
    )
    checkout.run()
    assert set(checkout.records()["channel"]) == {'["web", "mail"]'}


def test_a_window_without_rows_reports_where_they_are(after_ingest) -> None:
    checkout = after_ingest(tickets(300), start=date(2031, 1, 6), end=date(2032, 1, 5))
    verdict = json.loads((checkout.folder / "data/ingest/verdict.json").read_text())
    assert not verdict["passed"]
    assert any("300 more are dated outside it" in check["sentence"] for check in verdict["checks"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('raw["channel"]', 'raw["chanel"]', "row 1: domain 'tickets': to_records failed with KeyError: 'chanel'"),
        (
            "frame = raw.rename(",
            'raw["nope"]; frame = raw.rename(',
            "normalize failed with KeyError: 'nope' (schema.py:",
        ),
        ("import pandas as pd", "import nopackage", "import failed: ModuleNotFoundError"),
        ("class RawSchema(pa.DataFrameModel):", "class RawSchema(:", "schema.py, line"),
        (
            '.where(raw["label"].notna())',
            '.where(raw["ticket"] != "t00007")',
            "row 8: domain 'tickets': to_records returned",
        ),
        (', utc=True, format="ISO8601").astype("datetime64[us, UTC]")', ")", "column 'received_at' of to_records"),
        (
            '("price", "label", "channel", "senior")',
            '("price", "channel", "senior")',
            "column 'label' of RawSchema is missing",
        ),
    ],
)
def test_mistakes_in_a_domain_are_one_message(checkout, old, new, message) -> None:
    change_schema(checkout, old, new)
    rows = tickets(30)
    for row in rows:
        if "RawSchema is missing" in message:
            del row["label"]
    checkout.csv(rows)
    assert message in refusal(checkout)


def test_a_row_that_to_records_fails_on_is_named(checkout) -> None:
    change_schema(checkout, '(\\.\\d+)?$"', '.*"')
    checkout.csv([*tickets(20), ticket(20, price="3 euros"), *tickets(5)])
    assert "in/tickets.csv, row 21: domain 'tickets': to_records failed with ValueError" in refusal(checkout)


def test_a_duplicate_parameter(checkout) -> None:
    checkout.csv(tickets(3))
    file = checkout.folder / "params.yaml"
    file.write_text(file.read_text() + "ingest:\n  source: files\n")
    assert checkout.exit_code() == 64
    with pytest.raises(ParamsError, match=r"duplicate key 'ingest'"):
        checkout.run()


def test_a_rule_about_several_parameters_is_not_buried_in_their_values(checkout) -> None:
    checkout.set(start="2024-03-01")
    with pytest.raises(ParamsError) as refused:
        checkout.run()
    assert str(refused.value) == (
        "params.yaml is invalid:\n  ingest: start = 2024-03-01 is not before end = 2024-02-26: the window is half-open"
    )


@pytest.mark.parametrize("parameter", ["seed", "start", "rows_each_dya"])
def test_a_parameter_that_the_domains_simulator_does_not_take(checkout, parameter: str) -> None:
    (checkout.folder / "domain" / "simulator.py").write_text("def stream(*, start, end, seed, rows): yield from ()\n")
    checkout.params["simulator"] = {"rows": 5, parameter: 5}
    checkout.set(source="simulated")
    with pytest.raises(ParamsError, match=f"simulator: .*'{parameter}'.*domain/simulator.py"):
        checkout.run()
    assert checkout.exit_code() == 64


def test_a_protected_value_that_is_neither_group_is_refused(checkout) -> None:
    schema = checkout.folder / "domain" / "schema.py"
    schema.write_text(schema.read_text().replace('{"yes": 1, "no": 0}', '{"yes": 1, "no": 0, "maybe": 2}'))
    checkout.csv([*tickets(40), ticket(40, senior="maybe")])
    assert "senior = 2 for record 't00040': expected 1 (seniors), 0 (others) or null" in refusal(checkout)
