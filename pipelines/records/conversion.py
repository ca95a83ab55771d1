"""From raw rows to canonical records: the one conversion that ingest, scoring, serving and drift share.

Order: clean cells, `normalize`, validate against `RawSchema`, `to_records`, redact personal data, then what the domain
redacts itself. Features derived from the text are therefore computed before redaction, in training and serving alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.records.raw import strings_of_frame
from pipelines.records.redaction import clean, redact
from pipelines.records.validation import Origin, canonical, normalized, validated

if TYPE_CHECKING:
    import polars as pl

    from pipelines.records.domain import Domain
    from pipelines.records.schema import DomainSchema

EPOCH = pd.Timestamp("1970-01-01", tz="UTC")
ACCEPTED, REJECTED = "accepted", "rejected"
Outcomes = Callable[[pd.DataFrame, np.ndarray], np.ndarray]  # records (n), reason or "" of each -> outcome of each


@dataclass(frozen=True)
class Converted:
    """Canonical records of raw rows, and every row that did not become one."""

    records: pd.DataFrame  # accepted: canonical columns, cleaned and redacted
    places: np.ndarray  # (n,) position in the raw input of each record
    rejected: dict[int, str]  # position in the raw input -> why the row is not a record
    left_out: pd.DataFrame  # records with another outcome, not redacted, by position; column `outcome`
    redactions: dict[str, int]  # how often each kind of personal data was replaced


def to_records(
    raw: pa.Table | pd.DataFrame,
    *,
    domain: Domain,
    origin: Origin | None = None,
    max_text_chars: int | None = None,
    outcomes: Outcomes | None = None,
) -> Converted:
    """Convert raw rows (n) to canonical records.

    A `raw` table holds strings (`records.raw` makes one of JSON objects). `outcomes` may decide on more than the
    validity of a row, such as the window it belongs to; only accepted records are redacted. Raises InputError when the
    columns as such cannot be read; a row that cannot be read is in `rejected`.
    """
    table = strings_of_frame(raw, file="input") if isinstance(raw, pd.DataFrame) else raw
    origin = origin or Origin.of("input", rows=table.num_rows)
    frame = normalized(clean_table(table).to_pandas(), domain=domain, origin=origin)
    valid, rejected = validated(frame, schema=domain.raw_schema, file=origin.first)
    records = canonical(valid, domain=domain, origin=origin)
    places = valid.index.to_numpy()
    records["id"] = records["id"].str.strip()  # surrounding white space does not belong to an id
    reasons = _reasons(records, schema=domain.schema, max_text_chars=max_text_chars)
    decided = np.where(reasons == "", ACCEPTED, REJECTED) if outcomes is None else outcomes(records, reasons)
    rejected |= {int(places[row]): str(reasons[row]) for row in np.flatnonzero(decided == REJECTED)}
    good = decided == ACCEPTED
    accepted, redactions = _redacted(records[good].reset_index(drop=True), domain=domain)
    left_out = records[~good].set_axis(places[~good]).assign(outcome=decided[~good])
    return Converted(accepted, places[good], rejected, left_out, redactions)


def to_live_records(records: pd.DataFrame, *, domain: Domain) -> pd.DataFrame:
    """Give live records (n), which arrive with canonical names, the form that training saw.

    `text` is cleaned, features that the domain derives from it are filled in, then personal data is redacted: the same
    steps in the same order as in `to_records`. A feature that is neither given nor derived is null.
    """
    import polars as pl

    frame = records.reset_index(drop=True).copy()
    texts = clean(pl.Series("text", frame["text"].fillna("").astype(str).tolist(), dtype=pl.String))
    texts = texts.str.strip_chars()  # as the domains do with every raw cell
    frame["text"] = pd.Series(texts.to_list(), dtype="string")
    for name, column in domain.derive(frame).items():
        frame[name] = column.to_numpy()
    for feature in domain.schema.features:
        if feature.name not in frame:
            frame[feature.name] = None
        frame[feature.name] = frame[feature.name].astype("string" if feature.kind == "category" else "float64")
    safe, _ = redact(texts, languages=domain.schema.languages, regions=domain.schema.regions)
    frame["text"] = pd.Series(domain.redact(safe.to_list()), dtype="string")
    return frame


def clean_table(table: pa.Table) -> pa.Table:
    """Clean every column of strings; one of printable ASCII costs only a scan of its bytes."""
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


def _reasons(records: pd.DataFrame, *, schema: DomainSchema, max_text_chars: int | None) -> np.ndarray:
    """Return why each record cannot be used, "" if it can."""
    limit = np.inf if max_text_chars is None else max_text_chars
    cases = {
        "received_at is before 1970-01-01": records["received_at"] < EPOCH,
        "id is empty": records["id"] == "",
        f"text has more than {max_text_chars} characters": records["text"].str.len() > limit,
    }
    cases |= {f"{f.name} is infinite": np.isinf(records[f.name]) for f in schema.features if f.kind == "number"}
    return np.select(list(cases.values()), list(cases), default="")


def _redacted(records: pd.DataFrame, *, domain: Domain) -> tuple[pd.DataFrame, dict[str, int]]:
    import polars as pl

    schema = domain.schema
    texts, counts = redact(_polars(records["text"]), languages=schema.languages, regions=schema.regions)
    if any(counts.values()):
        records["text"] = pd.array(texts.to_arrow(compat_level=pl.CompatLevel.oldest()).to_pandas(), dtype="string")
    own = domain.redact(before := records["text"].fillna("").tolist())
    if changed := sum(one != other for one, other in zip(own, before, strict=True)):
        records["text"] = pd.array(own, dtype="string")
        counts = counts | {"domain": changed}
    return records, counts


def _polars(texts: pd.Series) -> pl.Series:
    import polars as pl

    return pl.Series(pl.from_arrow(pa.array(texts, type=pa.large_string(), from_pandas=True)), dtype=pl.String)
