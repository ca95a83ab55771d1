"""From raw rows to canonical records: bad rows out with their reasons, the rest cleaned, redacted and typed."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.records.domain import Domain
from pipelines.records.redaction import clean, redact
from pipelines.runtime.errors import InputError
from pipelines.stages.ingest.sources.chunk import CHUNK_BYTES, RawChunk, UnreadableRow

if TYPE_CHECKING:
    import polars as pl

EPOCH = pd.Timestamp("1970-01-01", tz="UTC")
FILE, ROW = "_file", "_row"  # columns that normalize sees beside the raw ones
VALUE_CHARS = 200  # of a cell in quarantine
WORDS = {  # pandera's names of its own checks
    "not_nullable": "is missing",
    "field_uniqueness": "stands there twice",
    "dtype": "is no",
    "coerce_dtype": "is no",
    "str_matches": "does not match",
    "isin": "is none of",
    "notin": "is one of",
    "equal_to": "is not",
    "greater_than": "is not above",
    "greater_than_or_equal_to": "is below",
    "less_than": "is not below",
    "less_than_or_equal_to": "is above",
}
QUARANTINE = ("file", "row", "id", "kind", "reason", "raw")


@dataclass(frozen=True)
class Batch:
    """Chunks of equal columns put together: the unit of work."""

    table: pa.Table
    files: np.ndarray  # of each row, its file
    rows: np.ndarray  # of each row, its number in that file
    unreadable: tuple[tuple[str, UnreadableRow], ...]


@dataclass
class Sorted:
    """What became of one batch."""

    records: pd.DataFrame  # accepted, canonical
    origin: pd.DataFrame  # file and row of each of them
    lost: pd.DataFrame  # rows for quarantine, columns QUARANTINE
    counts: dict[str, int] = field(default_factory=dict)
    redactions: dict[str, int] = field(default_factory=dict)
    lost_by_group: dict[str, dict[str, int]] = field(default_factory=dict)


def batches(chunks: Iterable[RawChunk], *, chunk_rows: int) -> Iterator[Batch]:
    """Neighboring chunks of equal columns put together until they hold `chunk_rows` rows."""
    waiting: list[RawChunk] = []
    rows, size = 0, 0
    for chunk in chunks:
        rows, size = rows + chunk.table.num_rows, size + chunk.table.nbytes
        if waiting and (
            rows > chunk_rows or size > CHUNK_BYTES or waiting[0].table.column_names != chunk.table.column_names
        ):
            yield _together(waiting)
            waiting, rows, size = [], chunk.table.num_rows, chunk.table.nbytes
        waiting.append(chunk)
    if waiting:
        yield _together(waiting)


def sort_out(
    batch: Batch, *, domain: Domain, start: date, end: date, max_text_chars: int, keep_without_text: bool
) -> Sorted:
    """Each row of a batch into exactly one place: accepted, rejected, without text, or outside the window."""
    raw = _cleaned(batch.table).to_pandas()
    # A source without ids needs something else to tell its rows apart: normalize sees where each one stands.
    placed = raw.assign(**{FILE: batch.files, ROW: batch.rows})
    frame = _normalized(placed, domain=domain, batch=batch)
    valid, reasons = _validated(frame, schema=domain.raw_schema, file=str(batch.files[0]) if len(raw) else "input")
    records = _recorded(valid, domain=domain, batch=batch)
    places = valid.index.to_numpy()
    since, until = (pd.Timestamp(day, tz="UTC") for day in (start, end))
    received = records["received_at"]
    ids, texts = records["id"].str.strip(), records["text"]
    records["id"] = ids  # blanks around an id are no part of it
    refused = np.select(
        [received < EPOCH, ids == "", texts.str.len() > max_text_chars],
        ["received_at is before 1970-01-01", "id is empty", f"text has more than {max_text_chars} characters"],
        default="",
    )
    before, after = ((received < since) & (refused == ""), received >= until)
    outside = (before | after).to_numpy(dtype=bool)
    reasons |= {
        int(places[row]): str(refused[row]) for row in np.flatnonzero((refused != "") & ~after.to_numpy(dtype=bool))
    }
    bad = (refused != "") & ~outside
    empty = (texts.str.strip() == "").to_numpy(dtype=bool) & ~outside & ~bad
    dropped = empty if domain.schema.requires_text and not keep_without_text else np.zeros_like(empty)
    good = ~outside & ~bad & ~dropped

    lost = pd.concat(
        [
            _unreadable(batch.unreadable),
            _rejected(reasons, raw=raw, batch=batch),
            _without_text(places[dropped], ids=records["id"][dropped], batch=batch),
        ]
    )
    accepted, redactions = _redacted(records[good].reset_index(drop=True))
    late = accepted["gold_at"] > until
    accepted[["gold", "gold_at"]] = accepted[["gold", "gold_at"]].mask(late)
    return Sorted(
        records=accepted,
        origin=pd.DataFrame({"file": batch.files[places[good]], "row": batch.rows[places[good]]}),
        lost=_in_order(lost, files=batch.files),
        counts={
            "read": len(raw) + len(batch.unreadable),
            "outside_window": int(outside.sum()),
            "before_window": int(before.sum()),
            "after_window": int(after.sum()),
            "rejected": len(batch.unreadable) + len(reasons),
            "without_text": int(dropped.sum()),
            "gold_not_yet_known": int(late.sum()),
        },
        redactions=redactions,
        lost_by_group=_by_group(records[dropped], [item.name for item in domain.schema.protected]),
    )


def _together(chunks: Sequence[RawChunk]) -> Batch:
    return Batch(
        table=pa.concat_tables([chunk.table for chunk in chunks]).combine_chunks(),
        files=np.repeat(np.array([chunk.file for chunk in chunks], dtype=object), [c.table.num_rows for c in chunks]),
        rows=np.concatenate([chunk.rows for chunk in chunks]),
        unreadable=tuple((chunk.file, row) for chunk in chunks for row in chunk.unreadable),
    )


def _cleaned(table: pa.Table) -> pa.Table:
    """Columns that hold anything but printable ASCII go through `clean`; the others cost one look at the bytes."""
    import polars as pl

    columns = []
    for column in table.columns:
        if all(_is_plain(chunk) for chunk in column.chunks):
            columns.append(column)
        else:
            cleaned = clean(pl.Series(pl.from_arrow(column)))
            columns.append(cleaned.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string()))
    return pa.table(columns, names=table.column_names)


def _is_plain(array: pa.LargeStringArray) -> bool:
    data = array.buffers()[2]
    if data is None or len(array) == 0:
        return True
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    content = np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]]
    return not bool(np.any((content < 0x20) & (content != 0x0A) & (content != 0x09)) or np.any(content >= 0x7F))


def _normalized(raw: pd.DataFrame, *, domain: Domain, batch: Batch) -> pd.DataFrame:
    """The frame under the domain's names; InputError names the file, the column and what comes nearest to it.

    The domain also sees where a row stands (`_file`, `_row`), of which one without ids can make some.
    """
    file = str(batch.files[0]) if len(batch.files) else "input"
    try:
        frame = domain.normalize(raw.assign(_file=batch.files, _row=batch.rows))
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    except Exception as error:
        columns = ", ".join(str(column) for column in raw.columns if column not in (FILE, ROW))
        raise InputError(f"{file}: {_raised('normalize', error, domain=domain)}. Columns: {columns}") from error
    _refuse_names_that_meet(frame, raw=raw, file=file)
    if len(frame) != len(raw) or not frame.index.equals(raw.index):
        raise InputError(f"domain {domain.schema.name!r}: normalize changed the rows; it may drop or reorder none")
    for name in domain.schema.required_columns:
        if name not in frame.columns:
            found = [str(column) for column in raw.columns if column not in (FILE, ROW)]
            raise InputError(f"{file}: column {name!r} is missing{_hint(name, found)}. Found: {', '.join(found)}")
    return frame


def _hint(name: str, found: Sequence[str]) -> str:
    """What the missing column may be called in the file."""
    sign = next((sign for sign in ";\t|" if len(found) == 1 and sign in found[0]), None)
    if sign is not None:
        return f"; fields seem to be separated by {sign!r}, commas would be right"
    candidates = {column.lower().replace(" ", "_"): column for column in found}
    near = difflib.get_close_matches(name.lower(), list(candidates), n=1, cutoff=0.5)
    return f"; the nearest is {candidates[near[0]]!r} (was it renamed?)" if near else ""


def _validated(frame: pd.DataFrame, *, schema: Any, file: str) -> tuple[pd.DataFrame, dict[int, str]]:
    """Rows that pass the raw schema, and the reasons of the others by place."""
    from pandera.errors import SchemaErrors

    try:
        return schema.validate(frame, lazy=True), {}
    except SchemaErrors as error:
        cases = error.failure_cases
    whole = cases[cases["index"].isna()]
    if len(whole):
        case = whole.iloc[0]
        names = [str(name) for name in frame.columns if name not in (FILE, ROW)]
        found = ", ".join(names)
        if case["check"] == "column_in_dataframe":
            hint = _hint(str(case["failure_case"]), names)
            raise InputError(
                f"{file}: column {case['failure_case']!r}, which RawSchema wants, is missing{hint}; where it may be "
                f"absent, let normalize add it. Found: {found}"
            )
        raise InputError(
            f"{file}: column {case['column']!r} fails {case['check']!r} as a whole (found {case['failure_case']!r}); "
            f"columns: {found}"
        )
    reasons: dict[int, list[str]] = {}
    for place, column, check, value in zip(
        cases["index"].astype(int), cases["column"], cases["check"], cases["failure_case"], strict=True
    ):
        shown = "null" if pd.isna(value) else repr(str(value)[:VALUE_CHARS])
        reasons.setdefault(place, []).append(f"{in_words(str(column), str(check))}; found {shown}")
    good = frame.drop(index=list(reasons))
    return schema.validate(good), {place: "; ".join(dict.fromkeys(items)) for place, items in sorted(reasons.items())}


def in_words(column: str, check: str) -> str:
    """What a check of RawSchema has against a column's value; a check with an `error` of its own says it itself."""
    name, _, limit = check.partition("(")
    if name in WORDS:
        return f"{column} {WORDS[name]} {limit.removesuffix(')')}".rstrip()
    return check if check.startswith(column) else f"{column}: {check}"


def _recorded(valid: pd.DataFrame, *, domain: Domain, batch: Batch) -> pd.DataFrame:
    """Canonical records of the valid rows; InputError names the first row that the domain cannot turn into one."""
    try:
        records = domain.to_records(valid)
    except InputError:
        raise
    except Exception as error:
        row = _first_that_fails(valid, domain=domain)
        where = f"{batch.files[row]}, row {batch.rows[row]}" if row is not None else str(batch.files[0])
        raise InputError(
            f"{where}: {_raised('to_records', error, domain=domain)}; a row that cannot become a record is one for "
            "RawSchema to refuse, with a reason"
        ) from error
    if len(records) != len(valid):
        raise InputError(
            f"domain {domain.schema.name!r}: to_records gave {len(records)} of {len(valid)} rows; it may drop none"
        )
    undated = (records["gold"].notna() & records["gold_at"].isna()).to_numpy()
    if undated.any():
        row = valid.index[int(undated.argmax())]
        raise InputError(
            f"{batch.files[row]}, row {batch.rows[row]}: domain {domain.schema.name!r}: to_records gave a gold label "
            "without gold_at; when a label arrived decides whether it is known yet"
        )
    return records


def _first_that_fails(rows: pd.DataFrame, *, domain: Domain) -> int | None:
    """Place of the first row that to_records fails on, by halving; None where only rows together fail."""
    while len(rows):
        half = rows.iloc[: (len(rows) + 1) // 2]
        try:
            domain.to_records(half)
        except Exception:
            if len(rows) == 1:
                return int(rows.index[0])
            rows = half
        else:
            rows = rows.iloc[len(half) :]
    return None


def _raised(function: str, error: Exception, *, domain: Domain) -> str:
    """What a function of the domain failed with, and where in its files."""
    lines = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(domain.folder)
    ]
    place = f" ({lines[-1]})" if lines else ""
    first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    return f"domain {domain.schema.name!r}: {function} failed with {type(error).__name__}: {first}{place}"


def _refuse_names_that_meet(frame: pd.DataFrame, *, raw: pd.DataFrame, file: str) -> None:
    """InputError where two columns have one name after normalize, such as `day` and `Day`."""
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        name = str(twice[0])
        meant = [str(column) for column in raw.columns if str(column).strip().lower() == name.strip().lower()]
        raise InputError(
            f"{file}: {len(frame.columns[frame.columns == twice[0]])} columns are named {name!r} after normalize"
            f"{' (' + ', '.join(map(repr, meant)) + ')' if len(meant) > 1 else ''}; keep one"
        )


def _redacted(records: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    import polars as pl

    texts, counts = redact(_polars(records["text"]))
    if any(counts.values()):
        records["text"] = pd.array(texts.to_arrow(compat_level=pl.CompatLevel.oldest()).to_pandas(), dtype="string")
    return records, counts


def _polars(texts: pd.Series) -> pl.Series:
    import polars as pl

    return pl.Series(pl.from_arrow(pa.array(texts, type=pa.large_string(), from_pandas=True)), dtype=pl.String)


def _rejected(reasons: dict[int, str], *, raw: pd.DataFrame, batch: Batch) -> pd.DataFrame:
    places = np.array(sorted(reasons), dtype=np.int64)
    shown = raw.iloc[places].apply(lambda column: column.str.slice(0, VALUE_CHARS)) if len(places) else raw.iloc[:0]
    lines = [
        "; ".join(f"{name}={value}" for name, value in row.items() if not pd.isna(value))
        for row in shown.to_dict("records")
    ]
    return _lost_rows(
        files=batch.files[places],
        rows=batch.rows[places],
        kind="rejected",
        reasons=_safe([reasons[int(place)] for place in places]),
        raw=_safe(lines),
    )


def _unreadable(rows: Sequence[tuple[str, UnreadableRow]]) -> pd.DataFrame:
    return _lost_rows(
        files=[file for file, _ in rows],
        rows=[row.row for _, row in rows],
        kind="rejected",
        reasons=_safe([row.reason for _, row in rows]),
        raw=_safe([row.raw for _, row in rows]),
    )


def _without_text(places: np.ndarray, *, ids: pd.Series, batch: Batch) -> pd.DataFrame:
    frame = _lost_rows(
        files=batch.files[places],
        rows=batch.rows[places],
        kind="without_text",
        reasons=["the text is empty"] * len(places),
        raw=[None] * len(places),
    )
    return frame.assign(id=ids.astype("str").to_numpy(dtype=object))


def _lost_rows(*, files: Any, rows: Any, kind: str, reasons: list[str], raw: Sequence[str | None]) -> pd.DataFrame:
    content = {"file": files, "row": rows, "id": None, "kind": kind, "reason": reasons, "raw": list(raw)}
    frame = pd.DataFrame(content, columns=list(QUARANTINE), dtype=object)
    return frame.astype({"row": "int64"})


def _safe(texts: list[str]) -> list[str]:
    """What goes to quarantine holds no more personal data than what goes on."""
    import polars as pl

    return redact(clean(pl.Series(texts, dtype=pl.String)))[0].to_list()


def _in_order(lost: pd.DataFrame, *, files: np.ndarray) -> pd.DataFrame:
    """Lost rows in the order of the source: file by file, row by row."""
    order = {file: place for place, file in enumerate(dict.fromkeys([*files, *lost["file"]]))}
    return lost.iloc[np.lexsort((lost["row"], lost["file"].map(order)))].reset_index(drop=True)


def _by_group(records: pd.DataFrame, attributes: Sequence[str]) -> dict[str, dict[str, int]]:
    return {
        name: {"member": int((records[name] == 1).sum()), "rest": int((records[name] == 0).sum())}
        for name in attributes
    }
