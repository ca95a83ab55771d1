"""Files as people have them: stray quotes, dialects, archives, odd names, folders with keys, things in between."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.runtime.errors import InputError
from tests.factories.mutations import packed
from tests.factories.tickets import ticket, tickets


def plain_csv(rows) -> str:
    """CSV without quoting, the text last, as many help desks export."""
    names = [*(name for name in rows[0] if name != "words"), "words"]
    cells = [[str(row[name]).replace(",", "") for name in names] for row in rows]
    return "\n".join([",".join(names), *map(",".join, cells)]) + "\n"


def put(checkout, content: str | bytes, name: str = "tickets.csv") -> None:
    file = checkout.folder / "in" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def ingested(checkout) -> bytes:
    checkout.run()
    assert checkout.outcomes()["passed"] and checkout.outcomes()["conservation"] == "passed"
    return checkout.bytes()["records.parquet"]


def account(checkout) -> dict:
    return checkout.metrics()["accounting"]["files"][0]


@pytest.mark.parametrize("second", ['the 9" drill', "the last word is 9 inch", 'it ends with 9"'])
def test_a_stray_quote_swallows_no_rows(checkout, second) -> None:
    rows = tickets()
    rows[100]["words"] = '"as good as new it says and then it broke'
    rows[299]["words"] = second
    put(checkout, plain_csv(rows))
    ingested(checkout)
    records = checkout.records().set_index("id")
    assert len(records) == 560 and records["text"].str.len().max() < 100
    assert records.loc["t00100", "text"] == rows[100]["words"] and records.loc["t00299", "text"] == second
    assert account(checkout)["reread_lines"] == 1


def test_texts_of_several_lines_stay_whole_and_their_lines_are_counted(checkout) -> None:
    rows = [
        ticket(number, words=f"I write,\nthat, after all, number {number},\nis, as said, broken")
        for number in range(300)
    ]
    checkout.csv(rows)
    ingested(checkout)
    assert (checkout.records()["text"].str.count("\n") == 2).all()
    assert account(checkout)["continued_lines"] == 600 and account(checkout)["stated"] == 901


def test_a_line_whose_quotes_are_beyond_repair_is_one_lost_row(checkout) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(tickets(1)[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(tickets())
    put(checkout, text.getvalue().replace('"My parcel number 2 is broken, please help"', '"My "parcel, is broken', 1))
    ingested(checkout)
    assert len(checkout.records()) == 559
    assert checkout.quarantine()["reason"].tolist() == ["broken quoting in line 4: 8 of 7 fields"]


@pytest.mark.parametrize(
    "dialect",
    [
        {"delimiter": ";"},
        {"delimiter": "\t"},
        {"delimiter": "|", "quoting": csv.QUOTE_ALL},
        {"doublequote": False, "escapechar": "\\"},
        {"quotechar": "'", "quoting": csv.QUOTE_ALL},
        {"lineterminator": "\r"},
    ],
)
def test_a_dialect_is_detected(checkout, dialect) -> None:
    rows = [{**row, "words": f"{row['words']}; \"{number}\" or '{number}'"} for number, row in enumerate(tickets())]
    checkout.csv(rows)
    wanted = ingested(checkout)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), **dialect)
    writer.writeheader()
    writer.writerows(rows)
    put(checkout, text.getvalue())
    assert ingested(checkout) == wanted


@pytest.mark.parametrize("name", ["tickets.tsv", "tickets.TSV", "tickets.tsv.gz", "tickets.tab.csv"])
def test_tabs_separate_cells_also_where_every_line_has_a_comma(checkout, name) -> None:
    rows = [{**row, "note, internal": "seen, filed"} for row in tickets(words="no comma here")]
    checkout.csv(rows)
    wanted = ingested(checkout)
    (checkout.folder / "in" / "tickets.csv").unlink()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    put(checkout, packed(content, ".gz", name=name) if name.endswith(".gz") else content, name)
    checkout.set(files={"paths": ["in/*"]})
    assert ingested(checkout) == wanted
    assert account(checkout)["notes"]["dialect"]["delimiter"] == "\t"


def test_a_dialect_can_be_stated(checkout) -> None:
    put(checkout, plain_csv(tickets()).replace(",", "#"))
    checkout.set(files={"delimiter": "#", "quote": ""})
    ingested(checkout)
    assert account(checkout)["notes"]["dialect"] == {"delimiter": "#", "quote": "", "escape": ""}


@pytest.mark.parametrize("read_as", ["latin-1", "cp1252"])
def test_text_that_was_encoded_twice_closes_the_gate(checkout, read_as) -> None:
    words = "bitte für Müller, c’est cassé" if read_as == "cp1252" else "bitte für Müller"
    checkout.csv(tickets(words=words.encode().decode(read_as)))
    checkout.run()
    assert checkout.outcomes()["lost_characters"] == "failed"
    assert checkout.metrics()["accounting"]["characters"]["encoded_twice"] >= 560 * 4


@pytest.mark.parametrize("words", ["NÃO É", "Der Spaß“ und „Ä“, über Gebühr", "это ÄÖ", "“plus” – café”"])
def test_text_with_rare_letters_was_not_encoded_twice(checkout, words) -> None:
    checkout.csv(tickets(words=f"{words}, for example"))
    checkout.run()
    assert checkout.outcomes()["lost_characters"] == "passed"


@pytest.mark.parametrize("encoding", ["latin-1", "iso-8859-1", "cp1252"])
def test_latin_1_is_read_as_browsers_read_it(checkout, encoding) -> None:
    checkout.csv(tickets(words="It’s broken – I paid €10"), encoding="cp1252")
    checkout.set(files={"encoding": encoding})
    ingested(checkout)
    assert set(checkout.records()["text"]) == {"It’s broken – I paid €10"}


@pytest.mark.parametrize(
    ("declared", "words", "kind"),
    [("cp1252", "café", "misread_utf8"), ("utf-8", "its\x92 broken", "control"), ("utf-8", "caf\ufffd", "replacement"),
     ("utf-8", "wait\x85", "control")],
)  # fmt: skip
def test_characters_that_are_lost_close_the_gate(checkout, declared, words, kind) -> None:
    checkout.csv(tickets(words=words))
    checkout.set(files={"encoding": declared})
    checkout.run()
    assert checkout.outcomes()["lost_characters"] == "failed"
    assert checkout.metrics()["accounting"]["characters"][kind] >= 560


@pytest.mark.parametrize(("end", "cut"), [('{"id": "t9", "day', True), ('{"id": "t9", "day\n', False)])
def test_json_lines_that_end_inside_a_row(checkout, end, cut) -> None:
    lines = [json.dumps(ticket) + "\n" for ticket in tickets()]
    put(checkout, "".join(lines) + end, name="tickets.jsonl")
    checkout.set(files={"paths": ["in/*.jsonl"]})
    checkout.run()
    assert account(checkout).get("ends_inside_row", False) is cut
    assert len(checkout.quarantine()) == 1


def test_a_file_that_lacks_a_column_of_the_others_is_named(checkout, caplog) -> None:
    rows = tickets()
    half = len(rows) // 2
    put(checkout, plain_csv(rows[:half]), name="tickets.csv")
    put(
        checkout,
        plain_csv([{k: v for k, v in row.items() if k != "channel"} for row in rows[half:]]),
        name="tickets2.csv",
    )
    checkout.set(files={"paths": ["in/*.csv"]})
    checkout.run()
    files = {item["file"]: item for item in checkout.metrics()["accounting"]["files"]}
    assert {name: item["notes"].get("columns_missing") for name, item in files.items()} == {
        "in/tickets.csv": None, "in/tickets2.csv": ["channel"],
    }  # fmt: skip
    assert any(record.levelname == "WARNING" and "tickets2.csv" in record.getMessage() for record in caplog.records)


def test_byte_order_marks_are_counted_and_lose_nothing(checkout) -> None:
    checkout.csv(tickets(words="thank you\ufeff"))
    checkout.run()
    assert checkout.outcomes()["lost_characters"] == "passed"
    assert checkout.metrics()["accounting"]["characters"] == {"byte_order_mark": 560}
    assert set(checkout.records()["text"]) == {"thank you"}


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst", ".zip"])
def test_archives_are_unpacked_and_a_cut_one_is_refused(checkout, suffix) -> None:
    content = checkout.csv(tickets()).read_bytes()
    wanted = ingested(checkout)
    (checkout.folder / "in" / "tickets.csv").unlink()
    archive = packed(content, suffix, name="tickets.csv")
    put(checkout, archive, f"tickets.csv{suffix}")
    assert ingested(checkout) == wanted
    put(checkout, archive[: len(archive) // 2], f"tickets.csv{suffix}")
    with pytest.raises(InputError, match="cannot be unpacked"):
        checkout.run()


def _as_json(rows) -> list[str]:
    return [json.dumps(row) for row in rows]


def _as_csv(rows) -> list[str]:
    return plain_csv(rows).splitlines()


@pytest.mark.parametrize(
    ("name", "lines", "between"),
    [
        ("a.csv", _as_csv, ""),
        ("a.csv", _as_csv, ","),
        ("a.jsonl", _as_json, ""),
        ("a.jsonl", _as_json, ", "),
    ],
)
def test_rows_whose_line_ends_are_lost_count_as_rejected_rows(checkout, name, lines, between) -> None:
    found = lines(tickets())
    put(checkout, "\n".join([*found[:300], between.join(found[300:360]), *found[360:]]) + "\n", name)
    checkout.run()
    assert account(checkout)["joined_rows"] == 59 and checkout.metrics()["rows"]["rejected"] == 1
    assert checkout.outcomes()["rejected_share"] == "failed" and not checkout.outcomes()["passed"]


def test_a_list_of_objects_in_a_line_counts_its_objects_as_rejected_rows(checkout) -> None:
    found = _as_json(tickets())
    put(checkout, "\n".join([*found[:300], f"[{', '.join(found[300:])}]"]), "a.jsonl")
    checkout.run()
    assert account(checkout)["joined_rows"] == 259 and not checkout.outcomes()["passed"]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_damaged_stream_after_a_whole_one_is_refused(checkout, suffix) -> None:
    content = checkout.csv(tickets()).read_bytes()
    wanted = ingested(checkout)
    (checkout.folder / "in" / "tickets.csv").unlink()
    cut = content.index(b"\n", len(content) // 2) + 1
    first, second = (packed(part, suffix, name="tickets.csv") for part in (content[:cut], content[cut:]))
    put(checkout, first + second, f"tickets.csv{suffix}")
    assert ingested(checkout) == wanted
    put(checkout, first + b"X" + second[1:], f"tickets.csv{suffix}")
    with pytest.raises(InputError, match="cannot be unpacked"):
        checkout.run()


@pytest.mark.parametrize(
    ("folder", "name", "pattern"),
    [
        ("in", "export [final].csv", "in/export [final].csv"),
        ("in [a]", "what?.csv", "in [a]/*.csv"),
        ("in", "50% done, b.csv", "in/50% done, b.csv"),
        ("2024 [x]/week", "a*b.csv", "2024 [x]/**/*.csv"),
        ("名前", "[1].csv", "名前/[[]1].csv"),
        ("in", "copy [2] of x.csv", "in/*[2]*.csv"),
    ],
)
def test_a_path_that_is_there_is_no_pattern(checkout, folder, name, pattern) -> None:
    file = checkout.csv(tickets())
    (checkout.folder / folder).mkdir(parents=True, exist_ok=True)
    file.rename(checkout.folder / folder / name)
    checkout.set(files={"paths": [pattern]})
    ingested(checkout)
    assert len(checkout.records()) == 560


def test_the_folder_of_the_data_is_never_a_pattern(checkout, tmp_path, monkeypatch) -> None:
    file = checkout.csv(tickets())
    (tmp_path / "[team] feed?" / "in").mkdir(parents=True)
    file.rename(tmp_path / "[team] feed?" / "in" / "tickets.csv")
    monkeypatch.setenv("PERENNIAL_DATA", str(tmp_path / "[team] feed?"))
    ingested(checkout)
    assert len(checkout.records()) == 560


def test_equal_names_in_folders_elsewhere_are_files_of_their_own(checkout, tmp_path) -> None:
    for number, half in enumerate((tickets()[:300], tickets()[300:])):
        file = checkout.csv(half, f"{number}.csv")
        (tmp_path / f"feed{number}").mkdir()
        file.rename(tmp_path / f"feed{number}" / "tickets.csv")
    checkout.set(files={"paths": [f"{tmp_path}/feed*/tickets.csv"]})
    ingested(checkout)
    assert len(checkout.records()) == 560 and checkout.metrics()["accounting"]["files_read"] == 2


@pytest.mark.parametrize(
    "name", [".tickets.csv", "~$tickets.csv", "tickets.csv.part", "_SUCCESS", "._tickets.csv", "a.crc"]
)
def test_what_holds_no_data_is_left_out_and_listed(checkout, name) -> None:
    checkout.csv(tickets())
    wanted = ingested(checkout)
    checkout.csv(tickets(words="an older copy"), name)
    assert ingested(checkout) == wanted
    assert [item["file"] for item in checkout.metrics()["accounting"]["not_read"]] == [f"in/{name}"]


def test_a_dangling_link_closes_the_gate(checkout) -> None:
    checkout.csv(tickets())
    (checkout.folder / "in" / "more.csv").symlink_to("nowhere.csv")
    checkout.run()
    assert checkout.outcomes()["conservation"] == "failed"


def test_a_file_that_may_not_be_read_is_a_reading_error(checkout, monkeypatch) -> None:
    from fsspec.implementations.local import LocalFileSystem

    def refuse(self, path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", path)

    checkout.csv(tickets())
    monkeypatch.setattr(LocalFileSystem, "open", refuse)
    with pytest.raises(InputError, match="cannot be read: permission denied"):
        checkout.run()
    assert checkout.exit_code() == 66


@pytest.mark.skipif(os.geteuid() == 0, reason="root lists any folder")
def test_a_folder_that_may_not_be_listed_is_an_error(checkout) -> None:
    file = checkout.csv(tickets())
    file.parent.chmod(0)
    with pytest.raises(InputError, match="cannot be listed"):
        checkout.run()


def test_a_name_that_is_not_utf_8_is_an_input_error(checkout) -> None:
    checkout.csv(tickets())
    folder = os.fsencode(checkout.folder / "in")
    Path(os.fsdecode(folder + b"/tickets.csv")).rename(os.fsdecode(folder + b"/b\xfcro.csv"))
    with pytest.raises(InputError, match=r"udcfcro\.csv' is not UTF-8"):
        checkout.run()


def test_keys_of_folders_are_columns(checkout) -> None:
    checkout.csv(tickets())
    wanted = ingested(checkout)
    (checkout.folder / "in" / "tickets.csv").unlink()
    pq.write_to_dataset(pa.Table.from_pylist(tickets()), checkout.folder / "in", partition_cols=["day"])
    checkout.set(files={"paths": ["in/**/*.parquet"]})
    assert ingested(checkout) == wanted


def test_columns_without_name_and_value_are_left_out_and_others_are_an_error(checkout) -> None:
    lines = checkout.csv(tickets()).read_text().splitlines()
    put(checkout, "".join(f"{line},,\n" for line in lines))
    ingested(checkout)
    assert account(checkout)["notes"]["columns_without_name_and_value"] == 2
    pd.DataFrame(tickets()).to_csv(checkout.folder / "in" / "tickets.csv")
    with pytest.raises(InputError, match="column 1 of 8 has no name, but row 1 has the value '0'"):
        checkout.run()


def test_text_that_is_not_utf_8_in_parquet_is_one_lost_row(checkout) -> None:
    texts = [f"parcel {number} caf".encode() + (b"\xe9" if number == 300 else b"e") for number in range(560)]
    ends = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int32)
    words = pa.StringArray.from_buffers(560, pa.py_buffer(ends.tobytes()), pa.py_buffer(b"".join(texts)))
    table = pa.Table.from_pylist([{**row, "words": None} for row in tickets()]).drop_columns("words")
    (checkout.folder / "in").mkdir()
    pq.write_table(table.append_column("words", words), checkout.folder / "in" / "tickets.parquet")
    ingested(checkout)
    assert len(checkout.records()) == 559
    lost = checkout.quarantine()
    assert lost["row"].tolist() == [301] and "column 'words' is not UTF-8" in lost["reason"][0]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_null_character_in_the_name_of_a_column_is_an_input_error(checkout, kind) -> None:
    frame = pd.DataFrame(tickets()).rename(columns={"channel": "chan\0nel"})
    (checkout.folder / "in").mkdir()
    file = checkout.folder / "in" / f"tickets.{kind}"
    if kind == "csv":
        frame.to_csv(file, index=False)
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    else:
        frame.to_parquet(file)
    with pytest.raises(InputError, match="has a null character in its name"):
        checkout.run()


def test_words_like_nan_stay_text(checkout) -> None:
    checkout.csv(tickets(channel="NA", words="nan"))
    ingested(checkout)
    assert set(checkout.records()["text"]) == {"nan"} and set(checkout.records()["channel"]) == {"NA"}


def test_a_hole_of_null_characters_closes_the_gate(checkout) -> None:
    content = plain_csv(tickets()).encode()
    put(checkout, content[:20_000] + b"\0" * 2048 + content[22_048:])  # about 25 rows are gone, one is unreadable
    checkout.run()
    assert checkout.metrics()["rows"]["rejected"] == 1
    assert checkout.outcomes()["lost_characters"] == "failed"


def test_links_that_lead_to_each_other_are_followed_once(checkout) -> None:
    first, second = checkout.folder / "in/first", checkout.folder / "in/second"
    checkout.csv(tickets(), name="first/tickets.csv")
    second.mkdir()
    (first / "there").symlink_to(second)
    (second / "back").symlink_to(first)
    checkout.set(files={"paths": ["in/**/*.csv"]})
    checkout.run()
    assert checkout.metrics()["accounting"]["files_read"] == 2  # by its own name and by the link to its folder


def test_a_folder_named_like_a_file_closes_the_gate_unless_its_files_are_read(checkout) -> None:
    checkout.csv(tickets(500), name="tickets.csv")
    checkout.csv([ticket(n) for n in range(500, 560)], name="export.csv/part-0.csv")
    checkout.run()
    assert checkout.outcomes()["conservation"] == "failed"
    checkout.set(files={"paths": ["in/**/*.csv"]})
    ingested(checkout)
    assert len(checkout.records()) == 560


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst", ".zip", ".parquet", ".tar"])
def test_a_file_that_is_not_text_is_called_what_it_is(checkout, suffix) -> None:
    content = plain_csv(tickets()).encode()
    if suffix == ".parquet":
        buffer = io.BytesIO()
        pd.DataFrame(tickets()).to_parquet(buffer)
        content = buffer.getvalue()
    elif suffix == ".tar":
        content = tarfile.TarInfo("tickets.csv").tobuf() + content
    else:
        content = packed(content, suffix, name="tickets.csv")
    put(checkout, content)
    checkout.set(files={"encoding": "latin-1"})  # in which all bytes are characters
    with pytest.raises(InputError, match="is not text, it begins as"):
        checkout.run()
