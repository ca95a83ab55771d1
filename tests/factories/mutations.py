"""Valid files of tickets and seeded mutations of them: what exports, editors, copies and disks do to a file."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.factories.tickets import Row, ticket

TOKEN = re.compile(r"t\d{5}")
WORDS = (
    "it’s broken – please help",
    "café, naïve; and more",
    'he said "no" twice',
    "plain words | with a bar",
    "日本 ok",
)


@dataclass
class Case:
    """A folder of input, its real text, and the names of the mutations."""

    random: random.Random
    folder: Path
    rows: list[Row]
    encoding: str = "utf-8"  # declared
    truth: str = ""  # all text that the files hold
    steps: list[str] = field(default_factory=list)

    def pick(self, *options):
        return self.random.choice(options)


def rows_of(chance: random.Random) -> list[Row]:
    """Sixty tickets whose texts hold their own ids, so that glued rows show."""
    return [
        ticket(
            number, words=f"t{number:05d} {chance.choice(WORDS)}" + ("\nsecond line" if chance.random() < 0.05 else "")
        )
        for number in range(60)
    ]


def csv_text(case: Case) -> str:
    text = io.StringIO()
    delimiter = case.pick(",", ",", ",", ";", "\t", "|")
    escapes = case.random.random() < 0.2
    writer = csv.DictWriter(
        text,
        fieldnames=list(case.rows[0]),
        delimiter=delimiter,
        quoting=case.pick(csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL),
        lineterminator=case.pick("\n", "\r\n"),
        doublequote=not escapes,
        escapechar="\\" if escapes else None,
    )
    writer.writeheader()
    writer.writerows(case.rows)
    case.steps.append(f"csv {delimiter!r}{' with escapes' if escapes else ''}")
    return text.getvalue()


def json_text(case: Case) -> str:
    def line(row: Row) -> str:
        row = dict(row)
        if case.random.random() < 0.05:
            row["extra"] = case.pick({"a": [1, None]}, [1, 2], float("nan"), True, 1e20)
        return json.dumps(row, ensure_ascii=case.random.random() < 0.3)

    case.steps.append("json")
    return "\n".join(map(line, case.rows)) + case.pick("\n", "")


def in_lines(change: Callable[[Case, str], str], *, times: int = 3) -> Callable[[Case, str], str]:
    """Change up to a few lines after the first."""

    def mutate(case: Case, text: str) -> str:
        lines = text.splitlines(keepends=True)
        for _ in range(case.random.randint(1, times)):
            if len(lines) > 2:
                at = case.random.randrange(1, len(lines))
                lines[at] = change(case, lines[at])
        return "".join(lines)

    return mutate


def insert(*what: str) -> Callable[[Case, str], str]:
    def mutate(case: Case, line: str) -> str:
        at = case.random.randrange(len(line) + 1)
        return line[:at] + case.pick(*what) + line[at:]

    return mutate


def at_cell(case: Case, line: str) -> str:
    """A quote at the beginning of a cell that nothing closes."""
    places = [match.end() for match in re.finditer(r"[,;\t|]", line)] or [0]
    at = case.pick(*places)
    return line[:at] + '"' + line[at:]


def every_line(change: Callable[[Case, int, str], str]) -> Callable[[Case, str], str]:
    return lambda case, text: "".join(change(case, at, line) for at, line in enumerate(text.splitlines(keepends=True)))


def _end(case: Case, at: int, line: str) -> str:
    return line.rstrip("\r\n") + case.pick("\n", "\r\n", "\r") if line.endswith("\n") else line


def _more_columns(header: str, value: Callable[[Case], str]) -> Callable[[Case, str], str]:
    def change(case: Case, at: int, line: str) -> str:
        body = line.rstrip("\r\n")
        sign = next((sign for sign in ";\t|" if f"day{sign}" in line or sign in body[:30]), ",")
        return body + (header if at == 0 else value(case)).replace(",", sign) + line[len(body) :]

    return every_line(change)


TEXT: dict[str, Callable[[Case, str], str]] = {
    "stray quote": in_lines(insert('"')),
    "quote opens a cell": in_lines(at_cell),
    "quote at the end": in_lines(lambda case, line: line.rstrip("\r\n") + '"\n'),
    "backslash": in_lines(insert("\\")),
    "control characters": in_lines(insert("\0", "\x07", "\x85", "\x92", "\ufeff"), times=20),
    "lost characters": in_lines(insert("\ufffd"), times=20),
    "lone carriage return": in_lines(insert("\r")),
    "delimiters": in_lines(insert(",", ";", "\t")),
    "blank lines": in_lines(lambda case, line: line + case.pick("\n", "\r\n", "  \n")),
    "mixed line ends": every_line(_end),
    "cut": lambda case, text: text[: case.random.randrange(len(text))],
    "lines lost": in_lines(lambda case, line: ""),
    "line repeated": in_lines(lambda case, line: line + line),
    "empty columns": _more_columns(",,", lambda case: ",,"),
    "unnamed column": _more_columns(",", lambda case: ",x"),
    "duplicate column": _more_columns(",day", lambda case: ",2024-01-01"),
    "null in a name": lambda case, text: text.replace("channel", "chan\0nel", 1),
    "nan": lambda case, text: text.replace("web", case.pick("nan", "NA", "null", "None")),
    "header only": lambda case, text: text.splitlines(keepends=True)[0],
    "sep": lambda case, text: "sep=,\n" + text,
    "repeated key": in_lines(lambda case, line: line.replace("{", '{"channel": "other", ', 1)),
    "nested": in_lines(lambda case, line: line.replace('"web"', '{"a": ["b", null]}')),
    "half a character": in_lines(lambda case, line: line.replace("please", "\\ud83d please")),
    "nothing": lambda case, text: text,
}


def write_text(case: Case, kind: str) -> None:
    """A CSV or JSON lines file, mutated as text, then as bytes, then as an archive."""
    text = csv_text(case) if kind == "csv" else json_text(case)
    for _ in range(case.pick(0, 1, 1, 2)):
        name = case.pick(*TEXT)
        case.steps.append(name)
        text = TEXT[name](case, text)
    actual = case.pick("utf-8", "utf-8", "utf-8", "utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le")
    case.encoding = case.pick("utf-8", "utf-8", "utf-8", "cp1252", "latin-1", "utf-16", actual)
    content = text.encode(actual, errors="replace")
    case.truth = content.decode(actual, errors="replace")
    case.steps.append(f"{actual} declared as {case.encoding}")
    if case.random.random() < 0.1 and len(content) > 10:
        place = case.random.randrange(len(content))
        content = content[:place] + bytes([case.random.randrange(128, 256)]) + content[place + 1 :]
        case.truth = content.decode(actual, errors="replace")
        case.steps.append(f"byte {place} changed")
    suffix = case.pick("", "", "", "", ".gz", ".bz2", ".xz", ".zst", ".zip")
    if suffix:
        content = packed(content, suffix, name=f"tickets.{kind}")
        if case.random.random() < 0.2:
            content = content[: case.random.randrange(len(content))]
            case.steps.append("archive cut")
    case.steps.append(suffix)
    (case.folder / f"tickets.{kind}{suffix}").write_bytes(content)


def packed(content: bytes, suffix: str, *, name: str) -> bytes:
    if suffix == ".zip":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, content)
        return archive.getvalue()
    if suffix == ".zst":
        return pa.compress(content, codec="zstd", asbytes=True)
    return {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[suffix](content)


def write_parquet(case: Case) -> None:
    """A Parquet file with columns of other types, bytes that are not text, and odd names."""
    columns = {name: pa.array([row[name] for row in case.rows], pa.string()) for name in case.rows[0]}
    case.truth = json.dumps(case.rows, ensure_ascii=False).replace("\\n", "\n")
    step = case.pick("plain", "bytes", "dictionary", "nested", "null in a name", "cut", "folders", "dates", "large")
    case.steps.append(f"parquet {step}")
    if step == "bytes":
        texts = [row["words"].encode() for row in case.rows]
        for _ in range(case.random.randint(1, 3)):
            at = case.random.randrange(len(texts))
            texts[at] = texts[at][:8] + b"\xe9 " + texts[at][8:]
        ends = [0]
        for text in texts:
            ends.append(ends[-1] + len(text))
        columns["words"] = pa.StringArray.from_buffers(
            len(texts), pa.py_buffer(pa.array(ends, pa.int32()).buffers()[1]), pa.py_buffer(b"".join(texts))
        )
    elif step == "dictionary":
        columns["channel"] = columns["channel"].dictionary_encode()
    elif step == "nested":
        columns["extra"] = pa.array([{"a": [1, None]}] * len(case.rows))
    elif step == "dates":
        columns["day"] = columns["day"].cast(pa.date32())
        columns["price"] = columns["price"].cast(pa.float64())
    elif step == "large":
        columns = {name: column.cast(pa.large_string()) for name, column in columns.items()}
    table = pa.table(columns)
    if step == "null in a name":
        table = table.rename_columns([name.replace("channel", "chan\0nel") for name in table.column_names])
    file = case.folder / "tickets.parquet"
    if step == "folders":
        pq.write_to_dataset(table, case.folder, partition_cols=["channel"])
        return
    pq.write_table(table, file, row_group_size=case.pick(20, 100))
    if step == "cut":
        content = file.read_bytes()
        file.write_bytes(content[: case.random.randrange(len(content))])


def add_company(case: Case) -> None:
    """Put other things next to the file: hidden and temporary ones, links, folders, markers, empty files."""
    row = ",".join(map(str, ticket(0, words="an older copy").values()))
    old = ",".join(case.rows[0]) + "\n" + row + "\n"
    things: dict[str, Callable[[], object]] = {
        "hidden": lambda: (case.folder / ".tickets.csv").write_text(old),
        "office lock": lambda: (case.folder / "~$tickets.csv").write_text(old),
        "unfinished": lambda: (case.folder / "tickets.csv.part").write_text(old),
        "marker": lambda: (case.folder / "_SUCCESS").touch(),
        "checksum": lambda: (case.folder / ".tickets.csv.crc").write_bytes(b"crc"),
        "dangling link": lambda: (case.folder / "z.csv").symlink_to("nowhere.csv"),
        "empty file": lambda: (case.folder / "z.csv").touch(),
        "folder": lambda: (case.folder / "z.csv").mkdir(),
        "spreadsheet": lambda: (case.folder / "z.xlsx").write_bytes(b"PK"),
    }
    name = case.pick(*things)
    case.steps.append(name)
    things[name]()


def make(seed: int, folder: Path) -> Case:
    """A mutated folder of input; the same seed gives the same."""
    chance = random.Random(seed)
    case = Case(chance, folder, rows_of(chance))
    kind = case.pick("csv", "csv", "csv", "jsonl", "parquet")
    if kind == "parquet":
        write_parquet(case)
    else:
        write_text(case, kind)
    if chance.random() < 0.15:
        add_company(case)
    return case
